"""Two failures of a known engine, that settles one limit after the other, on small groups with its numbers."""

import polars as pl
import pytest

from core.constraints import ConstraintSet, MaxBucketWeightConstraint, MaxPositionConstraint, NetExposureConstraint
from core.constraints.base import WeightConstraint
from tests.core.constraints.frames import listed, weights_of


def bucket_weights(weights: pl.DataFrame) -> dict[str, float]:
    sums = weights.group_by("bucket").agg(pl.col("weight").abs().sum())
    return dict(sums.iter_rows())


def test_two_bucket_caps_settled_one_after_the_other_do_not_lift_each_other() -> None:
    # Auto at 28 % and oil at 47 %: what is cut from oil, spread in proportion, lifted auto to 28 · 70 / 53 = 36.98 %.
    weights = weights_of([0.20, 0.08, 0.30, 0.17, 0.15, 0.10], bucket=["auto", "auto", "oil", "oil", "bank", "bank"])
    naive = 0.28 * 0.70 / 0.53
    assert naive == pytest.approx(0.3698, abs=1e-4)
    for limits in ([{"auto": 0.3}, {"oil": 0.3}], [{"oil": 0.3}, {"auto": 0.3}], [{"auto": 0.3, "oil": 0.3}]):
        constrained = ConstraintSet([MaxBucketWeightConstraint(limit) for limit in limits]).apply(weights)
        assert bucket_weights(constrained.weights) == pytest.approx({"auto": 0.3, "oil": 0.3, "bank": 0.4}, abs=1e-9)
        assert constrained.breaches.is_empty()


def test_bucket_caps_hold_too_where_only_the_exact_solution_meets_the_total() -> None:
    weights = weights_of([0.20, 0.08, 0.30, 0.17, 0.15], bucket=["auto", "auto", "oil", "oil", "bank"])
    limits = [
        MaxBucketWeightConstraint({"auto": 0.3}),
        MaxBucketWeightConstraint({"oil": 0.3}),
        NetExposureConstraint(0.9),
    ]
    constrained = ConstraintSet(limits).apply(weights)
    found = bucket_weights(constrained.weights)
    assert found["auto"] <= 0.3 + 1e-9
    assert found["oil"] <= 0.3 + 1e-9
    assert sum(found.values()) >= 0.9 - 1e-9
    assert constrained.breaches.is_empty()


@pytest.mark.parametrize("turned", [False, True])
def test_what_a_position_cap_places_again_does_not_lift_a_bucket_above_its_limit(turned: bool) -> None:
    # Technology is at its limit of 30 % when the cap cuts 13 % and 8 % from two other names.
    sizes = [0.08, 0.08, 0.07, 0.07, 0.25, 0.20, 0.10, 0.08, 0.07]
    weights = weights_of(sizes, bucket=["technology"] * 4 + ["energy", "bank", "health", "retail", "media"])
    limits: list[WeightConstraint] = [MaxBucketWeightConstraint({"technology": 0.3}), MaxPositionConstraint(0.12)]
    constrained = ConstraintSet(limits[::-1] if turned else limits).apply(weights)
    assert bucket_weights(constrained.weights)["technology"] <= 0.3 + 1e-9
    assert max(listed(constrained.weights)) <= 0.12 + 1e-9
    assert constrained.breaches.is_empty()


def test_the_cap_alone_would_have_lifted_technology_to_40_percent() -> None:
    # The two large names are cut from 70 % to 59.6 %: the 10.4 % placed again lift technology from 30 % to 40.4 %.
    weights = weights_of([0.10, 0.10, 0.10, 0.35, 0.35], bucket=["technology"] * 3 + ["energy", "bank"])
    alone = MaxPositionConstraint(0.298).apply(weights)
    assert bucket_weights(alone)["technology"] == pytest.approx(0.404)
    told = MaxBucketWeightConstraint({"technology": 0.3}).breaches(alone)
    assert told.select("scope", "limit", "level").row(0) == ("technology", 0.3, pytest.approx(0.404))
    constrained = ConstraintSet([MaxPositionConstraint(0.298), MaxBucketWeightConstraint({"technology": 0.3})]).apply(
        weights
    )
    assert bucket_weights(constrained.weights) == pytest.approx({"technology": 0.3, "energy": 0.298, "bank": 0.298})
    assert constrained.actions.filter(pl.col("verb") == "unplaced").height > 0


def test_a_total_that_is_hard_turns_the_same_into_a_conflict_and_not_into_a_breach() -> None:
    weights = weights_of([0.10, 0.10, 0.10, 0.35, 0.35], bucket=["technology"] * 3 + ["energy", "bank"])
    limits = [MaxPositionConstraint(0.298), MaxBucketWeightConstraint({"technology": 0.3}), NetExposureConstraint(1.0)]
    constrained = ConstraintSet(limits).apply(weights)
    assert constrained.weights["weight"].null_count() == 5
    ways = {row["constraint"]: row["alone"] for row in constrained.ways_out.to_dicts()}
    assert ways == {
        "max_position": pytest.approx(0.35),
        "max_bucket_weight": pytest.approx(0.404),
        "net_exposure": pytest.approx(0.896),
    }
