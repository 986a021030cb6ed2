"""Weight constraints: limits on the weights of each group, one by one and as a chain.

`base` says what all share, `exposure`, `position`, `bucket`, `turnover`, `positions` (how many, how small) and `names`
(one by one) are the constraints, `known` finds typing errors in the names they speak of, `constraint_set` is the chain
with its actions (`chain_actions`). Underneath: `checks` and `panel` (the rows), `filling` and `ceilings` (exact
water-filling, and what limits it).
"""

from core.constraints.base import WeightConstraint
from core.constraints.bucket import MaxBucketWeightConstraint, MinBucketWeightConstraint
from core.constraints.constraint_set import ConstrainedWeights, ConstraintSet
from core.constraints.exposure import (
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxGrossExposureConstraint,
    MinGrossExposureConstraint,
    NetExposureConstraint,
)
from core.constraints.names import FrozenNamesConstraint, NameLimit, NameLimitsConstraint
from core.constraints.position import MaxPositionConstraint
from core.constraints.positions import MaxPositionsConstraint, MinBucketsConstraint, MinPositionWeightConstraint
from core.constraints.turnover import TurnoverConstraint

__all__ = [
    "ConstrainedWeights",
    "ConstraintSet",
    "FrozenNamesConstraint",
    "LongOnlyConstraint",
    "MarketNeutralConstraint",
    "MaxBucketWeightConstraint",
    "MaxGrossExposureConstraint",
    "MaxPositionConstraint",
    "MaxPositionsConstraint",
    "MinBucketWeightConstraint",
    "MinBucketsConstraint",
    "MinGrossExposureConstraint",
    "MinPositionWeightConstraint",
    "NameLimit",
    "NameLimitsConstraint",
    "NetExposureConstraint",
    "TurnoverConstraint",
    "WeightConstraint",
]
