"""The grants of the page are enough, and are the least: a run with one of them less fails."""

import datetime as dt
import re
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from core import Policy, batch, store
from core.errors import StoreError
from tests.demo import demo_market

PAGE = Path(__file__).parents[2] / "docs" / "database.md"
AS_OF = dt.date(2026, 11, 20)
EARLIER = AS_OF - dt.timedelta(days=1)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ROLES = ("evenkeel_load", "evenkeel_run", "evenkeel_look")
BATCHES = count()


@pytest.fixture(scope="module")
def granted(postgres_server, demo_template):
    """The addresses by role of one database with the grants of the page, and with the cash of a day before."""
    (script,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with postgres_server.database(demo_template) as url:
        name = sa.make_url(url).database
        postgres_server.execute(script.replace("DATABASE evenkeel", f"DATABASE {name}"), database=name)
        store.load_frames(store.engine_from_url(url), {"cash": demo_market(EARLIER)["cash"]})
        yield {"owner": url} | {role: postgres_server.url(name, role=role) for role in ROLES}
        for role in ROLES:
            drop = [sql.SQL(words).format(sql.Identifier(role)) for words in ("DROP OWNED BY {}", "DROP ROLE {}")]
            postgres_server.execute(*drop, database=name)


def engine(granted, role):
    return store.engine_from_url(granted[role])


def run(granted, tmp_path, as_of=AS_OF, policy="test"):
    occasion = batch.Occasion(Policy(name=policy), as_of, f"batch {next(BATCHES)}", NOON)
    database = engine(granted, "evenkeel_run")
    with store.guarded(database, as_of, ["balanced"], "test", NOON) as guard:
        guard.require_held()
        batch.tidied(database, tmp_path, as_of)
        return batch.rebalance(database, tmp_path, occasion, ["balanced"], clock=lambda: NOON)


def test_each_role_can_do_its_work(granted, tmp_path):
    store.load_frames(engine(granted, "evenkeel_load"), demo_market(AS_OF))
    assert [told.outcome for told in run(granted, tmp_path).outcomes] == ["published"]
    assert [told.outcome for told in run(granted, tmp_path).outcomes] == ["unchanged"]
    looking = engine(granted, "evenkeel_look")
    assert store.read_current(looking, AS_OF).equals(store.read_targets(looking, tmp_path, AS_OF))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM runs",
        "DELETE FROM targets",
        "UPDATE targets SET target_weight = 0",
        "UPDATE runs SET reason = 'mine'",
        "UPDATE positions SET quantity = 0",
        "DELETE FROM promotions",
        "TRUNCATE decisions",
        "DROP TABLE runs",
    ],
)
def test_a_run_cannot_change_what_is_not_its_own(granted, statement):
    with engine(granted, "evenkeel_run").connect() as connection, pytest.raises(sa.exc.ProgrammingError) as refused:
        connection.execute(sa.text(statement))
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("role", ["evenkeel_load", "evenkeel_look"])
def test_the_other_roles_cannot_publish(granted, role):
    with engine(granted, role).connect() as connection, pytest.raises(sa.exc.ProgrammingError):
        connection.execute(sa.text("INSERT INTO promotions (portfolio_id, as_of, run_key) VALUES ('p', '2026-1-1', 1)"))


@pytest.mark.parametrize(
    "grant",
    [
        "SELECT ON positions",
        "INSERT ON runs",
        "INSERT ON targets",
        "INSERT ON input_frames",
        "USAGE ON SEQUENCE promotions_promotion_key_seq",
        "UPDATE ON guards",
    ],
)
def test_without_a_grant_a_run_publishes_nothing_and_says_what_to_do(granted, tmp_path, postgres_server, grant):
    with without(granted, postgres_server, grant):
        with pytest.raises(StoreError, match=r"permission denied.*docs/database.md"):
            run(granted, tmp_path, EARLIER)
        assert store.read_runs(engine(granted, "owner"), EARLIER).is_empty()


def test_without_its_grant_a_run_takes_no_place_of_another(granted, tmp_path, postgres_server):
    run(granted, tmp_path)
    before = store.read_runs(engine(granted, "owner"), AS_OF)
    with without(granted, postgres_server, "UPDATE (status) ON runs"):
        with pytest.raises(StoreError, match=r"permission denied.*docs/database.md"):
            run(granted, tmp_path, policy="another")
        assert store.read_runs(engine(granted, "owner"), AS_OF).equals(before)


@contextmanager
def without(granted, postgres_server, grant):
    """As if the page had one grant less."""
    name = sa.make_url(granted["owner"]).database
    postgres_server.execute(f"REVOKE {grant} FROM evenkeel_run", database=name)
    try:
        yield
    finally:
        postgres_server.execute(f"GRANT {grant} TO evenkeel_run", database=name)
