"""Weight constraints: limits on the weights of each group, one by one and as a chain.

`base` says what all share, `exposure`, `position` and `bucket` are the constraints, `constraint_set` is the chain with
its actions (`chain_actions`). Underneath: `checks` and `panel` (the rows), `filling` and `ceilings` (exact
water-filling, and what limits it).
"""

from core.constraints.base import WeightConstraint
from core.constraints.bucket import MaxBucketWeightConstraint
from core.constraints.constraint_set import ConstrainedWeights, ConstraintSet
from core.constraints.exposure import LongOnlyConstraint, MarketNeutralConstraint, MaxGrossExposureConstraint
from core.constraints.position import MaxPositionConstraint

__all__ = [
    "ConstrainedWeights",
    "ConstraintSet",
    "LongOnlyConstraint",
    "MarketNeutralConstraint",
    "MaxBucketWeightConstraint",
    "MaxGrossExposureConstraint",
    "MaxPositionConstraint",
    "WeightConstraint",
]
