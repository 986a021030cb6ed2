"""Verification, on the demo market: what is right is verified, and each thing that is tampered with is named."""

import datetime as dt
import shutil
from contextlib import nullcontext
from dataclasses import replace
from math import nextafter

import polars as pl
import pytest
import sqlalchemy as sa

from core import Policy, RebalancingLimits, batch, reproduce, store
from core.batch import Occasion
from core.reproduce import BITS, DIFFERS, IN_PART, UNCHECKED, VERIFIED, leftovers, verdicts, verification
from core.results import identity
from core.store.tables import runs
from tasks.settings import named_policy, policy_names
from tests.demo import demo_market
from tests.effort import DATABASES

AS_OF = dt.date(2026, 11, 20)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
LIMITS = RebalancingLimits(initial_new_positions=10, enable_bucket_diversification=True)
POLICIES = {
    "first": Policy(name="first", limits=LIMITS),
    "second": Policy(name="second", limits=replace(LIMITS, max_total_positions=8)),
}
NAMES = ("balanced", "concentrated", "newcomer")


def rebalance(engine, root, policy, portfolios=None):
    occasion = Occasion(policy, AS_OF, f"batch {policy.name}", NOON)
    return batch.rebalance(engine, root, occasion, portfolios, clock=lambda: NOON)


@pytest.fixture(scope="module", params=DATABASES)
def published(request, tmp_path_factory):
    """A folder with a store in which each portfolio was published under two policies; its PostgreSQL server, if any."""
    folder = tmp_path_factory.mktemp("published")

    def fill(engine):
        for policy in POLICIES.values():
            rebalance(engine, folder / "targets", policy)

    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        server.make_template("published", fill, request.getfixturevalue("demo_template"))
        return folder, server
    shutil.copy(request.getfixturevalue("demo_database"), folder / "evenkeel.db")
    engine = store.engine_from_url(f"sqlite:///{folder / 'evenkeel.db'}")
    fill(engine)
    engine.dispose()
    return folder, None


@pytest.fixture
def engine(published, tmp_path):
    folder, server = published
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with server.database("published") if server else nullcontext(f"sqlite:///{tmp_path / 'evenkeel.db'}") as url:
        engine = store.engine_from_url(url)
        yield engine
        engine.dispose()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "targets"


def current(engine, portfolio="balanced"):
    return store.read_runs(engine, AS_OF, portfolio).filter(status="published")


def checked(engine, root, rows=None):
    return verification(engine, root, current(engine) if rows is None else rows)


def found(checks, check):
    return checks.filter(check=check).select("verdict", "detail").row(0)


def told(checks):
    return verdicts(checks).select("verdict", "detail").row(0)


def execute(engine, sql, **parameters):
    with engine.begin() as connection:
        assert connection.execute(sa.text(sql), parameters).rowcount != 0


def change_run(engine, **columns):
    """Change cells of the current run of `balanced`."""
    key = current(engine)["run_key"].item()
    with engine.begin() as connection:
        connection.execute(sa.update(runs).where(runs.c.run_key == key).values(columns))


def change_target(engine, symbol, weight):
    sql = "UPDATE targets SET target_weight = :weight WHERE run_key = :key AND symbol = :symbol"
    execute(engine, sql, key=current(engine)["run_key"].item(), symbol=symbol, weight=weight)


def a_target(engine):
    rows = store.run_rows(engine, "targets", current(engine)["run_id"].item())
    return rows.filter(pl.col("target_weight") > 0.01, ~pl.col("is_cash")).row(0, named=True)


def test_current_and_superseded_runs_come_about_again_bit_for_bit(engine, root):
    every = store.read_runs(engine)
    checks = checked(engine, root, every)
    assert every["status"].value_counts().sort("status").rows() == [("published", 3), ("superseded", 3)]
    assert set(checks["verdict"]) == {VERIFIED}
    assert verdicts(checks)["run_id"].to_list() == every["run_id"].to_list()
    assert set(verdicts(checks)["detail"]) == {BITS}
    assert checks.filter(run_id=every["run_id"][0])["check"].to_list() == [
        "file", "rows", "inputs", "policy", "identity", "targets",
    ]  # fmt: skip


def test_what_postgresql_stores_comes_about_again_bit_for_bit(postgres, root):
    engine = store.engine_from_url(postgres)
    store.load_frames(engine, demo_market(AS_OF))
    rebalance(engine, root, POLICIES["first"])
    checks = checked(engine, root, store.read_runs(engine))
    assert set(checks["verdict"]) == {VERIFIED}
    assert set(verdicts(checks)["detail"]) == {BITS}
    engine.dispose()


def test_a_set_of_inputs_is_decided_once_per_policy_and_not_per_run(engine, root, monkeypatch):
    derived = []
    monkeypatch.setattr(reproduce, "judged", lambda *given: derived.append(given) or batch.judged(*given))
    checked(engine, root, store.read_runs(engine))
    assert len(derived) == len(POLICIES)


def test_nothing_is_changed(engine, root, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    checked(engine, root)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_target_that_is_one_bit_off_is_named_with_both_weights(engine, root):
    target = a_target(engine)
    symbol, weight = target["symbol"], target["target_weight"]
    other = nextafter(weight, 1)
    change_target(engine, symbol, other)
    checks = checked(engine, root)
    cell = f"target_weight of {symbol} is"
    assert found(checks, "rows") == (DIFFERS, f"{cell} {weight} in the file and {other} in SQL")
    assert found(checks, "targets") == (DIFFERS, f"{cell} {other} stored and {weight} derived anew")


def test_a_target_that_is_gone_is_named(engine, root):
    symbol, key = a_target(engine)["symbol"], current(engine)["run_key"].item()
    execute(engine, "DELETE FROM targets WHERE run_key = :key AND symbol = :symbol", key=key, symbol=symbol)
    assert told(checked(engine, root)) == (DIFFERS, f"rows: {symbol} is not in SQL; targets: {symbol} is not stored")


def test_several_targets_that_differ_are_counted(engine, root):
    execute(engine, "UPDATE targets SET close = close + 1 WHERE run_key = :key", key=current(engine)["run_key"].item())
    verdict, detail = found(checked(engine, root), "targets")
    assert verdict == DIFFERS
    assert detail.startswith("close of ")
    assert detail.endswith(" more symbols differ")


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_file_that_is_not_what_was_published_is_named(harm, engine, root):
    path = root / current(engine)["parquet_path"].item()
    if harm == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    else:
        path.unlink()
    verdict, detail = found(checked(engine, root), "file")
    assert verdict == DIFFERS
    assert str(path) in detail
    assert found(checked(engine, root), "targets") == (VERIFIED, BITS)


def frame_file(engine, root, frame):
    with engine.connect() as connection:
        query = "SELECT content_hash FROM input_frames WHERE frame = :frame"
        content = connection.scalar(sa.text(query), {"frame": frame})
    return root / f"_inputs/{content}.parquet"


def test_stored_inputs_that_were_changed_are_named(engine, root):
    path = frame_file(engine, root, "prices")
    pl.read_parquet(path).with_columns(pl.col("close") * 1.01).write_parquet(path)
    verdict, detail = told(checked(engine, root))
    assert verdict == DIFFERS
    assert "prices" in detail
    assert str(path) in detail


def test_a_frame_in_the_place_of_another_is_seen(engine, root):
    sql = "UPDATE input_frames SET content_hash = :other WHERE frame = 'cash'"
    execute(engine, sql, other=frame_file(engine, root, "prices").stem)
    checks = checked(engine, root)
    assert found(checks, "inputs")[0] == DIFFERS
    assert "targets" not in checks["check"].to_list()


@pytest.mark.parametrize(
    ("column", "content", "check"),
    [
        ("inputs_hash", "abc", "inputs"),
        ("policy_hash", "abc", "policy"),
        ("run_id", "abc", "identity"),
        ("policy", "name: [", "policy"),
        ("policy", "name: other\n", "policy"),
    ],
)
def test_a_changed_row_of_a_run_is_seen(column, content, check, engine, root):
    change_run(engine, **{column: content})
    assert found(checked(engine, root), check)[0] == DIFFERS


def test_another_policy_gives_other_targets(engine, root):
    """All hashes made to agree, only what comes of the policy does not."""
    policy = POLICIES["first"].model_copy(update={"limits": replace(LIMITS, max_single_position_pct=0.05)})
    run = current(engine).row(0, named=True)
    anew = identity.run_id(AS_OF, "balanced", policy.hash, run["inputs_hash"])
    change_run(engine, policy=policy.document, policy_hash=policy.hash, run_id=anew)
    checks = checked(engine, root)
    assert [found(checks, check)[0] for check in ("inputs", "policy", "identity")] == [VERIFIED] * 3
    verdict, detail = found(checks, "targets")
    assert verdict == DIFFERS
    assert " stored and 0.05 derived anew; " in detail


def test_in_another_environment_targets_are_compared_to_the_tolerance(engine, root):
    elsewhere = identity.environment().replace("polars 2", "polars 1")
    change_run(engine, environment=elsewhere)
    symbol, weight = a_target(engine)["symbol"], a_target(engine)["target_weight"]
    change_target(engine, symbol, weight + 1e-11)
    verdict, detail = found(checked(engine, root), "targets")
    assert verdict == VERIFIED
    assert detail.startswith("to 1e-9: published under polars 1.")
    assert ", here polars 2." in detail
    change_target(engine, symbol, weight + 1e-8)
    verdict, detail = found(checked(engine, root), "targets")
    assert verdict == DIFFERS
    assert detail.startswith(f"target_weight of {symbol} is ")
    assert "published under polars 1." in detail


def test_a_run_of_another_version_is_compared_to_the_tolerance(engine, root, monkeypatch):
    monkeypatch.setattr(reproduce, "__version__", "99")
    checks = checked(engine, root)
    assert found(checks, "targets")[1].startswith("to 1e-9: published under Evenkeel ")
    assert found(checks, "targets")[1].endswith(", here Evenkeel 99")


def test_of_a_run_that_kept_no_inputs_only_file_and_rows_are_checked(engine, root):
    change_run(engine, inputs_id=None, environment=None)
    checks = checked(engine, root)
    assert checks.select("check", "verdict").rows() == [
        ("file", VERIFIED),
        ("rows", VERIFIED),
        ("inputs", UNCHECKED),
    ]
    verdict, detail = told(checks)
    assert verdict == IN_PART
    assert "only file and rows can be checked" in detail


def test_a_refused_run_is_refused_again_for_the_same_reason(engine, root):
    impossible = Policy(name="impossible", limits=replace(LIMITS, min_buckets_represented=9, max_new_positions=0))
    rebalance(engine, root, impossible)
    refused = store.read_runs(engine, AS_OF, "balanced").filter(status="refused")
    assert told(checked(engine, root, refused)) == (VERIFIED, "refused again for the same reason")
    execute(engine, "UPDATE runs SET reason = 'no cash.' WHERE status = 'refused'")
    refused = store.read_runs(engine, AS_OF, "balanced").filter(status="refused")
    verdict, detail = told(checked(engine, root, refused))
    assert verdict == DIFFERS
    assert "was refused: no cash. Would be refused now: min_buckets_represented" in detail


def test_a_published_run_that_would_be_refused_now_differs(engine, root, monkeypatch):
    def refusing(*given):
        return [replace(record, reason="too late.") for record in batch.records(*given)]

    monkeypatch.setattr(reproduce, "records", refusing)
    assert found(checked(engine, root), "targets") == (DIFFERS, "would be refused now: too late.")


def test_files_that_no_run_names_are_listed_and_left(engine, root):
    assert leftovers(engine, root).is_empty()
    strange = [root / "_inputs/abc.parquet", root / f"as_of={AS_OF}/portfolio_id=balanced/.x.tmp"]
    for path in strange:
        path.write_bytes(b"x")
    (root / "notes.txt").write_text("not ours")
    listed = leftovers(engine, root)["detail"].to_list()
    assert [line.split(": ")[0] for line in listed] == [str(path.relative_to(root)) for path in strange]
    assert all(path.exists() for path in strange)


@pytest.mark.parametrize("name", policy_names())
def test_the_hash_of_a_policy_is_that_of_its_stored_document(name):
    policy = named_policy(name)
    assert reproduce._document_hash(policy.document) == policy.hash
