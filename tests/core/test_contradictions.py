"""What no weights could ever meet is refused when it is configured."""

import pytest

from core import (
    ConfigurationError,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MinBucketWeightConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    Policy,
    TurnoverConstraint,
)
from core.contradictions import require_consistent
from core.limits import RebalancingLimits
from tasks.settings import named_policy, policy_names


@pytest.mark.parametrize(
    ("constraints", "told"),
    [
        (
            (MinPositionWeightConstraint(0.3), MaxPositionConstraint(0.2)),
            "min_position_weight.min_weight is 0.3, but max_position.max_weight allows 0.2 at most",
        ),
        ((NetExposureConstraint(minimum=0.9), MaxGrossExposureConstraint(0.8)), "net_exposure.minimum is 0.9"),
        (
            (MinBucketWeightConstraint({"Energy": 0.3}), MaxBucketWeightConstraint(0.2)),
            "min_bucket_weight.min_weight of Energy is 0.3, but max_bucket_weight.max_weight allows 0.2",
        ),
        (
            (MinBucketWeightConstraint({"Energy": 0.3}), MaxBucketWeightConstraint({"Energy": 0.2})),
            "of Energy is 0.3",
        ),
        ((MaxPositionConstraint(20.0),), r"max_position.max_weight is 20, which is 2,000 % .*; 20 % is 0.2"),
        ((MaxBucketWeightConstraint({"Energy": 30.0}),), "max_bucket_weight.max_weight of Energy is 30"),
        ((NetExposureConstraint(minimum=-30.0),), "net_exposure.minimum is -30"),
        ((MaxPositionConstraint(20),), "max_position.max_weight is 20"),
        ((MaxPositionConstraint(5.0), MaxGrossExposureConstraint(1.0)), r"is 5, which is 500 % .*; 5 % is 0.05"),
        ((MaxBucketWeightConstraint({"Energy": 9}), MaxGrossExposureConstraint(1.5)), "of Energy is 9, which is 900 %"),
        (
            (NameLimitsConstraint({"AAA": NameLimit(maximum=5)}), MaxGrossExposureConstraint(1.0)),
            r"name_limits.names of AAA is 5, which is 500 % .*; 5 % is 0.05",
        ),
        ((NameLimitsConstraint({"AAA": NameLimit(minimum=-20)}),), "name_limits.names of AAA is -20"),
        ((TurnoverConstraint(8.0), MaxGrossExposureConstraint(1.0)), "turnover.max_turnover is 8"),
    ],
)
def test_limits_that_exclude_each_other_and_percentages_are_refused(constraints, told):
    with pytest.raises(ConfigurationError, match=told):
        require_consistent(constraints)


@pytest.mark.parametrize(
    "constraints",
    [
        (MinPositionWeightConstraint(0.2), MaxPositionConstraint(0.2)),
        (MinBucketWeightConstraint({"Energy": 0.3}), MaxBucketWeightConstraint({"Utilities": 0.2})),
        (MaxPositionConstraint(2.0), MaxGrossExposureConstraint(2.5)),
        (MaxPositionConstraint(1.0), MaxGrossExposureConstraint(0.5)),
        (NameLimitsConstraint({"AAA": NameLimit(-1.0, 0.5)}), MaxGrossExposureConstraint(0.5)),
        (
            MinPositionWeightConstraint(0.3),
            MaxPositionConstraint(0.2, mode="soft", priority=1, max_relaxation=0.2),
        ),
    ],
)
def test_limits_that_leave_room_are_not(constraints):
    require_consistent(constraints)


def test_a_policy_is_judged_with_the_limits_that_it_implies():
    with pytest.raises(ValueError, match=r"net_exposure\.minimum is 1\.2"):
        Policy(name="test", constraints=(NetExposureConstraint(minimum=1.2),))
    with pytest.raises(ValueError, match=r"max_position\.max_weight is 20"):
        Policy(name="test", limits=RebalancingLimits(max_single_position_pct=20.0))


@pytest.mark.parametrize("name", policy_names())
def test_the_shipped_policies_are_consistent(name):
    assert named_policy(name).name == name
