"""The limits of a rebalance, and the one comparison tolerance.

`BucketLimitsConfig` configures the enforcement of buckets by itself, `RebalancingLimits` a whole rebalance. `PRESETS`
names three of them. All fractions are of net asset value, whatever a name ends in: 0.05 is 5 %.
"""

from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType

from core.errors import ConfigurationError

TOLERANCE = 1e-9
"""A limit is breached when it is exceeded by more than this; a weight of at most this size is 0."""


@dataclass(frozen=True)
class BucketLimitsConfig:
    """How buckets are kept diverse; each of the three rules can be switched off by itself.

    Raises `ConfigurationError`, a `ValueError`, where a limit cannot be meant.
    """

    max_positions_per_bucket: int = 4
    max_allocation_per_bucket: float = 0.4  # gross, fraction of net asset value
    min_buckets_represented: int = 2
    enforce_position_limits: bool = True
    enforce_allocation_limits: bool = True
    enforce_min_buckets: bool = True
    allow_bucket_overflow: bool = False  # every held asset stays, also beyond max_positions_per_bucket
    min_position_weight: float = 0.001  # a bucket is represented by a name of at least this size

    def __post_init__(self) -> None:
        require_at_least("max_positions_per_bucket", self.max_positions_per_bucket, 1)
        require_at_least("min_buckets_represented", self.min_buckets_represented, 0)
        require_positive("max_allocation_per_bucket", self.max_allocation_per_bucket)
        require_positive("min_position_weight", self.min_position_weight)


@dataclass(frozen=True)
class RebalancingLimits:
    """The limits of a rebalance. Raises `ConfigurationError`, a `ValueError`, where one cannot be meant."""

    max_total_positions: int = 10
    max_new_positions: int = 3
    min_score_threshold: float = 0.6  # a held name below it is closed
    min_score_new_position: float = 0.65  # a new name below it does not enter
    max_single_position_pct: float = 0.2
    target_total_allocation: float = 0.95  # gross
    enable_bucket_diversification: bool = False
    max_positions_per_bucket: int = 4
    max_allocation_per_bucket: float = 0.4
    min_buckets_represented: int = 2
    allow_bucket_overflow: bool = False
    enforce_position_limits: bool = True
    enforce_allocation_limits: bool = True
    enforce_min_buckets: bool = True
    allow_forced_closures: bool = True  # False: a held name is closed only for its score
    initial_new_positions: int | None = None  # in place of max_new_positions where nothing is held
    min_position_weight: float = 0.001
    total_is_hard: bool = False  # a gross below target_total_allocation is a breach, not cash
    max_gross_exposure: float = 1.0  # above 1 the policy allows borrowing

    def __post_init__(self) -> None:
        self.bucket_limits  # noqa: B018 - its construction judges the bucket limits
        require_at_least("max_total_positions", self.max_total_positions, 1)
        require_at_least("max_new_positions", self.max_new_positions, 0)
        if self.initial_new_positions is not None:
            require_at_least("initial_new_positions", self.initial_new_positions, 0)
        for name in ("min_score_threshold", "min_score_new_position"):
            require_between(name, getattr(self, name), 0.0, 1.0)
        for name in ("max_single_position_pct", "target_total_allocation", "max_gross_exposure"):
            require_positive(name, getattr(self, name))
        if self.target_total_allocation > self.max_gross_exposure + TOLERANCE:
            raise ConfigurationError(
                f"target_total_allocation {self.target_total_allocation:g} exceeds max_gross_exposure "
                f"{self.max_gross_exposure:g}: lower the one, or raise the other to allow borrowing."
            )

    @property
    def bucket_limits(self) -> BucketLimitsConfig:
        """The part of the limits that concerns buckets."""
        return BucketLimitsConfig(
            max_positions_per_bucket=self.max_positions_per_bucket,
            max_allocation_per_bucket=self.max_allocation_per_bucket,
            min_buckets_represented=self.min_buckets_represented,
            enforce_position_limits=self.enforce_position_limits,
            enforce_allocation_limits=self.enforce_allocation_limits,
            enforce_min_buckets=self.enforce_min_buckets,
            allow_bucket_overflow=self.allow_bucket_overflow,
            min_position_weight=self.min_position_weight,
        )

    @property
    def required_buckets(self) -> int:
        """How many buckets must be represented; 0 where bucket diversification does not ask for it."""
        return self.min_buckets_represented if self.enable_bucket_diversification and self.enforce_min_buckets else 0


def require_positive(name: str, limit: float) -> None:
    """Raise unless a limit is a finite, positive number."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not isfinite(limit) or limit <= 0:
        raise ConfigurationError(f"{name} is {limit!r}: it must be a finite number above 0.")


def require_at_least(name: str, limit: int, least: int) -> None:
    """Raise unless a limit is a whole number of at least `least`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < least:
        raise ConfigurationError(f"{name} is {limit!r}: it must be a whole number of at least {least}.")


def require_between(name: str, limit: float, low: float, high: float) -> None:
    """Raise unless a limit is a number from `low` to `high`."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not low <= limit <= high:
        raise ConfigurationError(f"{name} is {limit!r}: it must be a number from {low:g} to {high:g}.")


def require_range(name: str, minimum: float | None, maximum: float | None) -> None:
    """Raise unless a range has a bound, its bounds are finite numbers, and the minimum is not above the maximum."""
    if minimum is None and maximum is None:
        raise ConfigurationError(f"{name} has neither a minimum nor a maximum: give it at least one.")
    for bound, limit in (("minimum", minimum), ("maximum", maximum)):
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not isfinite(limit)):
            raise ConfigurationError(f"{bound} of {name} is {limit!r}: it must be a finite number.")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ConfigurationError(f"minimum of {name} is {minimum:g}, above its maximum {maximum:g}: swap them.")


PRESETS = MappingProxyType(
    {
        "conservative": RebalancingLimits(
            enable_bucket_diversification=True,
            max_positions_per_bucket=3,
            max_allocation_per_bucket=0.35,
            min_buckets_represented=3,
        ),
        "aggressive": RebalancingLimits(
            enable_bucket_diversification=True,
            max_positions_per_bucket=6,
            max_allocation_per_bucket=0.60,
            min_buckets_represented=2,
            allow_bucket_overflow=True,
        ),
        "protection": RebalancingLimits(
            enable_bucket_diversification=True,
            max_positions_per_bucket=2,
            max_allocation_per_bucket=0.30,
            min_buckets_represented=2,
            allow_bucket_overflow=True,
        ),
    }
)
"""Three situations: broad and capped; concentrated; existing holdings protected from the count of their bucket."""
