"""A batch from the database to its records, on the demo market."""

import datetime as dt
from dataclasses import replace
from itertools import count

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import text

from core import (
    ConfigurationError,
    FrozenNamesConstraint,
    MaxBucketWeightConstraint,
    Policy,
    RebalancingLimits,
    batch,
    store,
)
from core.batch import Occasion, refusal
from core.inputs import (
    FunctionSignal,
    MomentumSignal,
    QuerySignal,
    VolatilitySignal,
    Week52PositionSignal,
)
from core.policy import DEFAULT_SIGNALS, InverseVolatility, LongShort, ScoreWeighted, Scoring, SourceConfig
from core.results.summary import summary
from core.schemas import Actions, Breaches, Findings, empty
from tasks.settings import named_policy

AS_OF = dt.date(2026, 11, 20)
BATCHES = count()
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
LIMITS = RebalancingLimits(initial_new_positions=10, enable_bucket_diversification=True)


@pytest.fixture
def database(any_demo_database):
    engine = store.engine_from_url(any_demo_database)
    yield engine
    engine.dispose()


def run(database, tmp_path, portfolios=None, **settings):
    policy = Policy(**{"name": "test", "limits": LIMITS} | settings)
    occasion = Occasion(policy, AS_OF, f"batch {next(BATCHES)}", NOON)
    return batch.rebalance(database, tmp_path / "targets", occasion, portfolios, clock=lambda: NOON)


def outcomes(report):
    return {told.portfolio_id: told.outcome for told in report.outcomes}


def execute(database, sql):
    with database.begin() as connection:
        connection.execute(text(sql))


@pytest.mark.parametrize(
    ("any_demo_database", "normaliser"),
    [("sqlite", "rank"), ("sqlite", "minmax"), ("sqlite", "zscore"), ("postgresql", "zscore")],
    indirect=["any_demo_database"],
)
def test_a_portfolio_gets_the_same_bits_alone_and_in_a_batch(normaliser, database, tmp_path):
    scoring = Scoring(tuple(replace(signal, normaliser=normaliser) for signal in DEFAULT_SIGNALS))
    changed = {"scoring": scoring, "sizing": ScoreWeighted()}
    together = run(database, tmp_path, **changed)
    assert set(outcomes(together).values()) == {"published"}
    for portfolio_id in outcomes(together):
        alone = run(database, tmp_path, [portfolio_id], **changed)
        assert outcomes(alone) == {portfolio_id: "unchanged"}  # the same identity
        assert alone.targets.equals(together.targets.filter(portfolio_id=portfolio_id))
        mine = together.bucket_statistics.filter(portfolio_id=portfolio_id)
        assert alone.bucket_statistics.equals(mine)


def test_a_dry_run_says_that_it_was_one_and_stores_nothing(database, tmp_path):
    occasion = Occasion(Policy(name="test", limits=LIMITS), AS_OF, "dry", NOON)
    report = batch.rebalance(database, tmp_path / "targets", occasion, clock=lambda: NOON, dry_run=True)
    assert report.dry_run
    assert {*outcomes(report).values()} == {"planned"}
    assert store.read_runs(database).is_empty()
    assert not (tmp_path / "targets").exists()


def test_dust_opens_no_name_and_is_no_holding(database, tmp_path):
    """One that holds a speck is decided as one that holds nothing."""
    fresh = run(database, tmp_path, ["newcomer"])
    names = fresh.targets.filter(~pl.col("is_cash"))
    outsider = names.sort("target_weight")["symbol"][0]
    speck = {"portfolio_id": ["newcomer"], "as_of": [AS_OF], "symbol": [outsider], "quantity": [1e-9]}
    store.load_frames(database, {"positions": pl.DataFrame(speck)})
    again = run(database, tmp_path, ["newcomer"])
    assert outcomes(again) == {"newcomer": "published"}
    assert_frame_equal(again.targets, fresh.targets)  # their net asset values differ in the last digits
    assert "dust" in again.findings["code"]


def test_a_count_that_leaves_room_explains_no_change(database, tmp_path):
    """All names that could have a weight are fewer than the limit: who has none owes it to another rule."""
    guarded = named_policy("guarded")
    occasion = Occasion(guarded, AS_OF, f"batch {next(BATCHES)}", NOON)
    report = batch.rebalance(database, tmp_path / "targets", occasion, ["concentrated"], clock=lambda: NOON)
    assert report.targets.height < guarded.limits.max_total_positions
    assert "max_positions" not in report.explanations["rule"]
    assert report.explanations.filter(pl.col("after") == 0)["rule"].to_list() == ["min_position_weight"]


def test_an_unmet_representation_is_refused_with_the_nearest_way_out(database, tmp_path):
    limits = RebalancingLimits(enable_bucket_diversification=True, min_buckets_represented=3, max_new_positions=0)
    report = run(database, tmp_path, ["concentrated"], limits=limits)
    (told,) = report.outcomes
    assert told.outcome == "refused"
    assert told.reason.startswith("min_buckets_represented is 1, limit 3, off by 2.")
    assert "1 of at least 3 buckets represented: best candidate of" in told.reason
    assert "rejected by max_new_positions" in told.reason
    assert report.targets.is_empty()


def test_a_long_short_book_without_enough_names_is_refused(database, tmp_path):
    limits = RebalancingLimits(max_total_positions=200, max_new_positions=200)
    report = run(database, tmp_path, ["newcomer"], limits=limits, sizing=LongShort(60))
    (told,) = report.outcomes
    assert told.outcome == "refused"
    assert "long_short of long" in told.reason


@pytest.mark.parametrize(("portfolio", "balanced"), [("newcomer", True), ("concentrated", False)])
def test_a_long_short_book_that_fixed_names_keep_off_balance_says_so(portfolio, balanced, database, tmp_path):
    held = "symbol IN (SELECT symbol FROM positions WHERE portfolio_id = 'concentrated')"
    execute(database, f"UPDATE assets SET tradable = false WHERE {held}")  # noqa: S608
    limits = RebalancingLimits(max_total_positions=40, max_new_positions=40, max_single_position_pct=1.0)
    report = run(database, tmp_path, [portfolio], limits=limits, sizing=LongShort(5))
    assert outcomes(report) == {portfolio: "published"}
    net = report.targets.filter(~pl.col("is_cash"))["target_weight"].sum()
    told = report.actions.filter(rule="long_short", verb="shortfall")
    assert (abs(net) < 1e-9) == balanced
    assert told["before"].to_list() == ([] if balanced else [pytest.approx(net)])


def test_a_later_stop_of_the_batch_refuses_although_weights_were_made(database, tmp_path):
    execute(database, "DELETE FROM signals WHERE symbol < 'M'")
    report = run(database, tmp_path)
    assert set(outcomes(report).values()) == {"refused"}
    assert store.read_current(database).is_empty()


def test_deliberately_broken_constraints_publish_nothing(database, tmp_path, monkeypatch):
    """Whatever the constraints do to the weights, the last word is that of the verification."""
    from core.constraints import ConstraintSet

    honest = ConstraintSet.apply

    def broken(self, weights, by="end_time"):
        made = honest(self, weights, by)
        doubled = made.weights.with_columns(pl.col("weight") * 2)
        return replace(made, weights=doubled, breaches=made.breaches.clear())

    monkeypatch.setattr(ConstraintSet, "apply", broken)
    report = run(database, tmp_path)
    assert set(outcomes(report).values()) == {"refused"}
    assert store.read_current(database).is_empty()
    assert not list((tmp_path / "targets").glob("as_of=*"))


def test_a_weight_that_moves_without_an_action_is_refused_within_all_limits_too(database, tmp_path, monkeypatch):
    from core.constraints import ConstraintSet

    honest = ConstraintSet.apply

    def silent(self, weights, by="end_time"):
        made = honest(self, weights, by)
        return replace(made, weights=made.weights.with_columns(pl.col("weight") * 0.9))

    monkeypatch.setattr(ConstraintSet, "apply", silent)
    report = run(database, tmp_path, ["newcomer"])
    (told,) = report.outcomes
    assert told.outcome == "refused"
    assert "unexplained_change of " in told.reason


def test_other_inputs_supersede_and_the_first_run_stays_readable(database, tmp_path):
    run(database, tmp_path)
    first = store.read_runs(database, AS_OF, "balanced")["run_id"].item()
    before = store.run_rows(database, "targets", first)
    execute(database, "UPDATE cash SET amount = amount + 1000 WHERE portfolio_id = 'balanced'")
    assert outcomes(run(database, tmp_path)) == {
        "balanced": "published",
        "concentrated": "unchanged",
        "newcomer": "unchanged",
    }
    runs = store.read_runs(database, AS_OF, "balanced")
    assert runs["status"].to_list() == ["superseded", "published"]
    assert store.run_rows(database, "targets", first).equals(before)


def test_a_refusal_tells_its_first_reasons_and_counts_the_rest():
    row = {"portfolio_id": "p", "as_of": AS_OF, "constraint": "max_position", "limit": 0.1, "level": 0.2, "excess": 0.1}
    many = Breaches.cast(pl.DataFrame([row | {"scope": f"S{i}"} for i in range(6)]).select(Breaches.column_names()))
    told = refusal(empty(Findings), many, empty(Actions))
    assert told.startswith("max_position of S0 is 0.2, limit 0.1, off by 0.1. ")
    assert told.endswith("And 3 more.")
    assert refusal(empty(Findings), empty(Breaches), empty(Actions)) is None


def test_an_infeasible_run_is_refused_with_its_conflict_first_and_no_breaches():
    row = {"portfolio_id": "p", "as_of": AS_OF, "constraint": "finite_weight", "scope": "", "limit": 0.0}
    breach = Breaches.cast(pl.DataFrame(row | {"level": 3.0, "excess": 3.0}).select(Breaches.column_names()))
    conflict = "max position 20 % x 3 names = 60 %,\nbut net exposure at least 95 %."
    assert refusal(empty(Findings), breach, empty(Actions), conflict) == conflict
    stop = finding()
    assert refusal(stop, breach, empty(Actions), conflict) == f"{conflict}\n\nno cash row. Load it."


def finding():
    row = {"severity": "stop_portfolio", "code": "no_cash", "portfolio_id": "p", "frame": "cash"}
    said = {"message": "no cash row.", "remedy": "Load it."} | dict.fromkeys(("symbol", "column", "row", "value"))
    return Findings.cast(pl.DataFrame(row | said).select(Findings.column_names()))


def made_infeasible(constrained):
    """What the constrain step returns where no weights of `concentrated` meet all limits."""
    run = pl.col("portfolio_id") == "concentrated"
    rows = constrained.rows.with_columns(target_weight=pl.when(~run).then("target_weight"))
    conflict = {"portfolio_id": ["concentrated"], "as_of": [AS_OF], "conflict": ["A and B cannot both hold."]}
    kept = constrained.actions.filter(~run)
    return replace(constrained, rows=rows, actions=kept, infeasible=pl.DataFrame(conflict))


def test_an_infeasible_portfolio_leaves_its_conflict_and_decisions_and_the_others_are_published(
    database, tmp_path, monkeypatch
):
    from core import engine

    honest = engine.constrained_weights
    monkeypatch.setattr(engine, "constrained_weights", lambda *given: made_infeasible(honest(*given)))
    report = run(database, tmp_path)
    assert outcomes(report) == {"balanced": "published", "concentrated": "refused", "newcomer": "published"}
    stored = store.read_runs(database, AS_OF, "concentrated")
    assert stored["reason"].item() == "A and B cannot both hold."
    decided = store.run_rows(database, "decisions", stored["run_id"].item())
    assert decided.height > 0
    assert decided["target_weight"].null_count() == decided.height
    assert store.run_rows(database, "explanations", stored["run_id"].item()).is_empty()


def test_a_refused_run_keeps_its_decisions_without_weights(database, tmp_path):
    limits = RebalancingLimits(enable_bucket_diversification=True, min_buckets_represented=3, max_new_positions=0)
    run(database, tmp_path, ["concentrated"], limits=limits)
    refused = store.read_runs(database, AS_OF)["run_id"].item()
    decided = store.run_rows(database, "decisions", refused)
    assert decided["target_weight"].null_count() == decided.height > 0


def test_what_is_stored_adds_up_from_the_wanted_weight_to_the_target(database, tmp_path):
    run(database, tmp_path)
    for run_id in store.read_runs(database)["run_id"]:
        changes = store.run_rows(database, "explanations", run_id).group_by("symbol").agg(pl.col("change").sum())
        told = store.run_rows(database, "decisions", run_id).join(changes, on="symbol", how="left")
        rest = told["target_weight"] - told["wanted_weight"] - told["change"].fill_null(0.0)
        assert rest.abs().max() <= 1e-12
        names = store.run_rows(database, "targets", run_id).filter(~pl.col("is_cash"))
        assert names.join(told, on="symbol")["target_weight"].to_list() == names["target_weight"].to_list()


def calmness(history: pl.DataFrame) -> pl.DataFrame:
    """A signal of a desk's own: how small the last move was."""
    move = (pl.col("close").last() / pl.col("close").first() - 1).abs()
    return history.group_by("symbol").agg(value=-move)


def test_signals_come_from_tables_prices_a_query_and_a_function_alike(database, tmp_path):
    execute(database, "CREATE TABLE moods (day DATE, ticker TEXT, mood FLOAT)")
    execute(database, "INSERT INTO moods SELECT '2026-11-20', symbol, 10 * length(name) + length(symbol) FROM assets")
    sql = "SELECT day AS as_of, ticker AS symbol, mood AS value FROM moods WHERE day <= :as_of"
    signals = (
        DEFAULT_SIGNALS[0],
        MomentumSignal(name="momentum", weight=0.3),
        VolatilitySignal(name="volatility", weight=0.1),
        Week52PositionSignal(name="position", weight=0.1),
        QuerySignal(name="mood", weight=0.2, sql=sql),
        FunctionSignal(name="calm", weight=0.3, function="tests.core.test_batch:calmness", lookback=20),
    )
    report = run(database, tmp_path, ["newcomer"], scoring=Scoring(signals), sizing=InverseVolatility())
    assert outcomes(report) == {"newcomer": "published"}
    for reason in report.targets.filter(~pl.col("is_cash"))["reason"]:
        assert all(signal.name in reason for signal in signals)
        assert "missing" not in reason


def test_a_desk_may_keep_its_own_tables(database, tmp_path):
    first = run(database, tmp_path, ["balanced"])
    kept = "SELECT portfolio_id AS fund, as_of AS day, symbol, quantity FROM positions"
    execute(database, f"CREATE TABLE holdings AS {kept}")
    execute(database, "DELETE FROM positions")
    own = "SELECT fund AS portfolio_id, day AS as_of, symbol, quantity FROM holdings WHERE day = :as_of"
    second = run(database, tmp_path, ["balanced"], source=SourceConfig({"positions": own}))
    assert second.targets.equals(first.targets)


def test_a_bucket_or_symbol_that_no_asset_has_stops_the_batch_as_a_typing_error(database, tmp_path):
    for constraint, told in [
        (MaxBucketWeightConstraint({"Energi": 0.2}), "Did you mean 'Energy'?"),
        (FrozenNamesConstraint(("NOSUCH",)), "symbol 'NOSUCH' of frozen_names is no asset"),
    ]:
        with pytest.raises(ConfigurationError) as refusal:
            run(database, tmp_path, constraints=(constraint,))
        assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("exchange", "day", "told"),
    [
        ("XNYS", dt.date(2026, 11, 27), "The session ends early, at 13:00 America/New_York."),
        ("XLON", dt.date(2026, 12, 24), "The session ends early, at 12:30 Europe/London."),
        ("XNYS", AS_OF, None),
        (None, dt.date(2026, 11, 27), None),
    ],
)
def test_a_session_that_ends_early_is_told(exchange, day, told):
    occasion = Occasion(Policy(name="test", exchange=exchange), day, "batch", NOON)
    shown = summary(replace(batch.opened(occasion), early_close=batch.early_close(occasion)))
    assert ("ends early" in shown) == (told is not None)
    assert (told or "") in shown
