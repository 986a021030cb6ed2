"""Real days under limits so tight that some cannot be met: those days say what to change, and changing it helps."""

from dataclasses import replace

import polars as pl
import pytest

from core import batch, store
from core.engine import considered_universe, decided
from core.policy import Policy
from core.stored import read_afresh
from deployments.replay import Desk, Market, morning, opened
from tasks.settings import named_policy
from tests.deployments.test_replay import DATA, SPLITS
from tests.effort import SOAK

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the S&P 500 snapshots are not beside the project")

DAYS = 77 if SOAK else 13
LIMITS = {
    "max_total_positions": 20,
    "max_new_positions": 6,
    "max_single_position_pct": 0.05,
    "target_total_allocation": 0.95,
    "max_allocation_per_bucket": 0.2,
}
TIGHT = Policy.model_validate(
    named_policy("guarded").model_dump()
    | {
        "name": "tight",
        "limits": named_policy("guarded").model_dump()["limits"] | LIMITS,
        "constraints": [
            {"kind": "long_only"},
            {"kind": "net_exposure", "minimum": 0.93, "maximum": 0.96},
            {"kind": "turnover", "max_turnover": 0.07},
        ],
    }
)
NUMBERS = {"turnover": "max_turnover", "max_position": "max_weight", "max_bucket_weight": "max_weight"}
OF_LIMITS = {
    "max_position": "max_single_position_pct",
    "max_bucket_weight": "max_allocation_per_bucket",
    "max_positions": "max_total_positions",
    "max_gross_exposure": "max_gross_exposure",
}


def changed(policy: Policy, way: dict, value: float) -> Policy:
    """The policy with one number changed as a refusal says."""
    kind, scope = way["constraint"], way["scope"]
    if kind in OF_LIMITS:
        number = int(value) if kind == "max_positions" else value
        return policy.model_copy(update={"limits": replace(policy.limits, **{OF_LIMITS[kind]: number})})
    field = scope if kind == "net_exposure" else NUMBERS[kind]
    constraints = [replace(c, **{field: value}) if c.kind == kind else c for c in policy.constraints]
    return policy.model_copy(update={"constraints": tuple(constraints)})


def planned(judged, policy):
    return decided(considered_universe(judged.gated, policy), judged.signal_values, judged.gated.nav, policy)


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Per day: its plan under the tight policy, and those with each number changed alone, and all jointly."""
    engine = store.engine_from_url(f"sqlite:///{tmp_path_factory.mktemp('tight') / 'evenkeel.db'}")
    market = Market.of(DATA, SPLITS)
    market = market.between(market.days[0], market.days[DAYS - 1])
    desk, made = Desk("tight"), []
    opened(engine, market, ["tight"])
    for day in market.days:
        store.load_frames(engine, morning(desk, day, []))
        judged = batch.judged(read_afresh(engine, TIGHT, day, ["tight"]), TIGHT)  # no other limits change that
        plan = planned(judged, TIGHT)
        ways = plan.ways_out.rows(named=True)
        alone = [planned(judged, changed(TIGHT, way, way["alone"])) for way in ways if way["alone"] is not None]
        jointly = TIGHT
        for way in ways:
            jointly = jointly if way["jointly"] is None else changed(jointly, way, way["jointly"])
        together = planned(judged, jointly) if ways else plan
        made.append((day, plan, alone, together))
        desk.trade(together.targets)
    return made


def test_some_days_are_refused_and_most_are_not(days):
    refused = [day for day, plan, _, _ in days if not plan.infeasible.is_empty()]
    assert 0 < len(refused) < DAYS / 2


def test_a_refused_day_has_no_targets_and_says_which_limits_conflict(days):
    for _, plan, alone, _ in days:
        if not plan.infeasible.is_empty():
            assert plan.targets.is_empty()
            (conflict,) = plan.infeasible["conflict"]
            assert conflict.startswith("Turnover at most 7 %, but net exposure at least 93 %: ")
            assert alone


def test_each_change_that_a_refusal_names_makes_the_day_feasible(days):
    for day, _, alone, together in days:
        for plan in (*alone, together):
            assert plan.infeasible.is_empty(), day
            assert plan.breaches.is_empty(), day


def test_every_published_weight_is_explained_to_the_last_digit(days):
    for _, _, _, plan in days:
        changes = plan.explanations.group_by("symbol").agg(pl.col("change").sum())
        told = plan.targets.filter(~pl.col("is_cash")).join(changes, on="symbol", how="left")
        off = told.select(pl.col("wanted_weight") + pl.col("change").fill_null(0.0) - pl.col("target_weight"))
        assert off.to_series().abs().max() <= 1e-12
