"""The page on operations keeps its word: its settings exist, its roles are enough, its commands are those that run.

Its commands as a user are run by tests/deployments/test_serve.py. Those as root are not run, but for the owner's
`evenkeel init`: they make a user, fetch the program and start services; the units are looked at by systemd itself
(tests/deployments/test_systemd.py).
"""

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from core import Policy, batch, store
from core.errors import StoreError
from core.store import approvals
from tasks.settings import ROOT
from tests.demo import demo_market

PAGE = (ROOT / "docs/operations.md").read_text()
AS_OF = dt.date(2026, 11, 20)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ROLES = ("evenkeel_load", "evenkeel_run", "evenkeel_look", "evenkeel_keep")


def blocks(language, page=PAGE):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_every_setting_of_prefect_exists():
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    assert set(re.findall(r"PREFECT_[A-Z_]+", PAGE)) - set(_get_settings_fields(Settings)) == set()


def test_every_setting_of_evenkeel_is_read_somewhere():
    program = "".join(path.read_text() for folder in ("tasks", "deployments") for path in (ROOT / folder).glob("*.py"))
    assert {name for name in re.findall(r"EVENKEEL_[A-Z_]+", PAGE) if name not in program} == set()


def test_what_make_serve_sets_up_is_what_the_page_sets_up():
    program = (ROOT / "deployments/serve.py").read_text()
    commands = [line.removeprefix("$ ") for line in "".join(blocks("console")).splitlines() if line.startswith("$ ")]
    for said, done in {
        "prefect --no-prompt work-pool create evenkeel --type process --overwrite": '"work-pool", "create", POOL',
        "prefect --no-prompt deploy --prefect-file deployments/prefect.yaml --all": "deployments/prefect.yaml",
        "python -m deployments.parameters": "parameters.close()",
        "python -m deployments.automations": "automations.apply(",
    }.items():
        assert said in commands
        assert done in program


def test_every_automation_is_told_and_every_deployment():
    from deployments.automations import automations

    named = {each.name for each in automations({}, dt.timedelta(seconds=90))}
    assert {name for name in named if f"| {name} |" not in PAGE} == set()
    found = re.findall(r"entrypoint: .*:(\w+)$", (ROOT / "deployments/prefect.yaml").read_text(), re.MULTILINE)
    assert {name for name in found if f"`{name.replace('_', '-')}/" not in PAGE} == set()


@pytest.fixture(scope="module")
def granted(postgres_server):
    """The addresses by role of a database that is made, filled with tables and granted as both pages say."""
    (roles,) = blocks("sql", (ROOT / "docs/database.md").read_text())
    _, making, keeping = blocks("sql")
    (address,) = re.findall(r"EVENKEEL_DATABASE_URL=(\S+) \S+ init", PAGE)
    owner, name = sa.make_url(address).username, sa.make_url(address).database
    postgres_server.execute(*making.strip().split("\n"))
    store.init(store.engine_from_url(postgres_server.url(name, role=owner)))
    postgres_server.execute(roles + keeping, database=name)
    yield {role: postgres_server.url(name, role=role) for role in ROLES}
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)", *(f"DROP ROLE {role}" for role in (owner, *ROLES)))


def test_the_housekeeping_can_do_its_work_and_a_run_can_undo_it(granted, tmp_path):
    engine = {role: store.engine_from_url(url) for role, url in granted.items()}
    store.load_frames(engine["evenkeel_load"], demo_market(AS_OF))

    def run(name):
        occasion = batch.Occasion(Policy(name=name), AS_OF, f"batch {name}", NOON)
        return batch.rebalance(engine["evenkeel_run"], tmp_path, occasion, ["balanced"], clock=lambda: NOON).outcomes

    assert [told.outcome for told in (*run("first"), *run("second"))] == ["published", "published"]
    keeper = engine["evenkeel_keep"]
    store.require_current(keeper)
    assert store.retire(keeper, tmp_path, NOON + dt.timedelta(days=1)) == store.Retired(targets=1, input_sets=0)
    assert len(store.remove_leftovers(keeper, tmp_path)) == 1
    assert store.damages(keeper, tmp_path).is_empty()
    assert store.space(keeper, tmp_path)["bytes"].sum() > 0
    assert [told.outcome for told in run("first")] == ["restored"]
    assert store.damages(keeper, tmp_path).is_empty()


def test_the_housekeeping_can_close_questions(granted):
    asked = ("question", "batch", "balanced", AS_OF, "run", "hash", "turnover", NOON, NOON + dt.timedelta(hours=4))
    approvals.ask(store.engine_from_url(granted["evenkeel_run"]), approvals.Asked(*asked))
    closed = approvals.close_expired(store.engine_from_url(granted["evenkeel_keep"]), NOON + dt.timedelta(hours=5))
    assert closed == [f"balanced on {AS_OF}"]


def test_a_run_cannot_do_what_the_housekeeping_does(granted, tmp_path):
    with pytest.raises(StoreError, match="permission denied"):
        store.retire(store.engine_from_url(granted["evenkeel_run"]), tmp_path, NOON)
