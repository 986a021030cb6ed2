"""Evenkeel's domain: from yesterday's positions and today's signals to today's target weights, and why.

All public names of the domain can be imported from here.
"""

from core.constraints import (
    ConstrainedWeights,
    ConstraintSet,
    FrozenNamesConstraint,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinBucketWeightConstraint,
    MinGrossExposureConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)
from core.decisions.bucket_limits_enforcer import BucketEnforcementResult, BucketLimitsEnforcer
from core.decisions.bucket_manager import BucketManager
from core.decisions.universe import UniverseBuilder
from core.errors import ConfigurationError, EvenkeelError, InputError, InvalidWeightsError
from core.limits import PRESETS, TOLERANCE, BucketLimitsConfig, RebalancingLimits
from core.models import AssetScore, BucketAllocation, BucketStatistics, RebalancingTarget
from core.policy import (
    AsProposed,
    EqualWeight,
    InverseVolatility,
    LongShort,
    Policy,
    ScoreWeighted,
)
from core.policy_file import load_policy
from core.rebalancer import CoreRebalancerEngine, RebalancingPlan, ScoringService, SelectionService
from core.schemas import AssetPriority
from core.version import __version__

__all__ = [
    "PRESETS",
    "TOLERANCE",
    "AsProposed",
    "AssetPriority",
    "AssetScore",
    "BucketAllocation",
    "BucketEnforcementResult",
    "BucketLimitsConfig",
    "BucketLimitsEnforcer",
    "BucketManager",
    "BucketStatistics",
    "ConfigurationError",
    "ConstrainedWeights",
    "ConstraintSet",
    "CoreRebalancerEngine",
    "EqualWeight",
    "EvenkeelError",
    "FrozenNamesConstraint",
    "InputError",
    "InvalidWeightsError",
    "InverseVolatility",
    "LongOnlyConstraint",
    "LongShort",
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
    "Policy",
    "RebalancingLimits",
    "RebalancingPlan",
    "RebalancingTarget",
    "ScoreWeighted",
    "ScoringService",
    "SelectionService",
    "TurnoverConstraint",
    "UniverseBuilder",
    "WeightConstraint",
    "__version__",
    "load_policy",
]
