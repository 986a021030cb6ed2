"""The policy: the one frozen document that configures a run.

`core.policy_file` reads it from YAML. `Policy.constraint_set` joins the constraints of the document with those that
its limits imply (`core.implied`), so that there is one list of everything that limits weights.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.approval import ApprovalRules
from core.constraints import (
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
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
)
from core.contradictions import require_consistent
from core.errors import ConfigurationError
from core.implied import joined
from core.inputs import (
    CandidatesFrom,
    GateConfig,
    QuerySignal,
    SignalConfig,
    TableSignal,
    VolatilitySignal,
    required_observations,
)
from core.limits import RebalancingLimits, require_at_least
from core.sessions import Exchange
from core.source import Source

FORBID = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class EqualWeight:
    """Every name the same weight."""

    __pydantic_config__ = FORBID
    kind: Literal["equal_weight"] = field(default="equal_weight", kw_only=True)


@dataclass(frozen=True)
class ScoreWeighted:
    """Weights in proportion to the scores."""

    __pydantic_config__ = FORBID
    kind: Literal["score_weighted"] = field(default="score_weighted", kw_only=True)


@dataclass(frozen=True)
class InverseVolatility:
    """Weights in proportion to 1 / volatility of the daily returns of the last `lookback` prices."""

    __pydantic_config__ = FORBID
    lookback: int = 63
    kind: Literal["inverse_volatility"] = field(default="inverse_volatility", kw_only=True)


@dataclass(frozen=True)
class AsProposed:
    """Weights in proportion to those that a signal of the signals table proposes, signed."""

    __pydantic_config__ = FORBID
    signal: str = "proposed_weight"
    kind: Literal["as_proposed"] = field(default="as_proposed", kw_only=True)


@dataclass(frozen=True)
class LongShort:
    """The best `names_per_side` names long, the worst short, each the same size: net 0."""

    __pydantic_config__ = FORBID
    names_per_side: int
    kind: Literal["long_short"] = field(default="long_short", kw_only=True)

    def __post_init__(self) -> None:
        require_at_least("names_per_side", self.names_per_side, 1)


Sizing = EqualWeight | ScoreWeighted | InverseVolatility | AsProposed | LongShort
Constraint = (
    LongOnlyConstraint
    | MarketNeutralConstraint
    | MaxGrossExposureConstraint
    | MinGrossExposureConstraint
    | MaxPositionConstraint
    | MaxBucketWeightConstraint
    | MinBucketWeightConstraint
    | NetExposureConstraint
    | TurnoverConstraint
    | MaxPositionsConstraint
    | MinPositionWeightConstraint
    | MinBucketsConstraint
    | NameLimitsConstraint
    | FrozenNamesConstraint
)
"""Everything that a policy can list under `constraints`, told apart by `kind`."""

NEW_YORK = "America/New_York"
LONGEST_HISTORY = 100 * 366  # days
HOLIDAYS = 5  # so many days in a row may be without prices beside weekends
DEFAULT_SIGNALS = (TableSignal(name="technical", weight=0.6), TableSignal(name="fundamental", weight=0.4))


@dataclass(frozen=True)
class SourceConfig:
    """Where inputs come from: queries of one's own in place of tables, and what the candidates are."""

    __pydantic_config__ = FORBID
    queries: Mapping[str, str] = field(default_factory=dict)  # name of an input table -> SQL
    candidates_from: CandidatesFrom = "assets"  # all assets, or the table `candidates`


@dataclass(frozen=True)
class Scoring:
    """What a score is made of."""

    __pydantic_config__ = FORBID
    signals: Annotated[tuple[Annotated[SignalConfig, Field(discriminator="kind")], ...], Field(min_length=1)] = (
        DEFAULT_SIGNALS
    )

    def __post_init__(self) -> None:
        names = [signal.name for signal in self.signals]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"signals {', '.join(names)}: two have the same name; give each its own.")


class Policy(BaseModel):
    """One policy; every part but the name has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    description: str = ""
    exchange: str | None = None  # whose sessions are the days of runs: its code, such as XNYS; none: every day is one
    time_zone: str | None = None  # without an exchange, whose day a scheduled run is for; none: that of New York
    source: SourceConfig = SourceConfig()
    data_gate: GateConfig = GateConfig()
    scoring: Scoring = Scoring()
    limits: RebalancingLimits = RebalancingLimits()
    sizing: Annotated[Sizing, Field(discriminator="kind")] = EqualWeight()
    constraints: tuple[Annotated[Constraint, Field(discriminator="kind")], ...] = ()
    approval: ApprovalRules | None = None  # when a person must agree before a run is published; none: never

    @model_validator(mode="after")
    def _is_consistent(self) -> "Policy":
        self.reads  # noqa: B018 - its construction judges the queries
        _require_time_zone(self.time_zone or NEW_YORK)
        if self.sessions is not None and self.time_zone is not None:
            raise ConfigurationError(
                f"time_zone {self.time_zone} beside exchange {self.exchange}, which has its own: remove one of them."
            )
        if self.history_days > LONGEST_HISTORY:
            raise ConfigurationError(
                f"its signals and ages need {self.history_days:,} days of prices: {LONGEST_HISTORY:,} at most. Shorten "
                "the longest lookback or age."
            )
        require_room_for_both_sides(self.sizing, self.limits)
        require_consistent(self.constraint_set().constraints)
        return self

    @property
    def sessions(self) -> Exchange | None:
        """The trading days, where there is an exchange."""
        return None if self.exchange is None else Exchange(self.exchange)

    @property
    def zone(self) -> ZoneInfo:
        """Whose day a run is for."""
        return ZoneInfo(self.time_zone or NEW_YORK) if self.sessions is None else self.sessions.time_zone

    def constraint_set(self) -> ConstraintSet:
        """All constraints of a run, those of the document and those that its limits imply, in the order of the
        chain."""
        return ConstraintSet(joined(self.constraints, self.limits))

    @property
    def sizing_signal(self) -> SignalConfig | None:
        """The signal that the sizing reads, beside those that are scored."""
        match self.sizing:
            case InverseVolatility(lookback=lookback):
                return VolatilitySignal(name="volatility of sizing", weight=1.0, lookback=lookback)
            case AsProposed(signal=signal):
                return TableSignal(name=signal, weight=1.0)
        return None

    @property
    def sizing_input(self) -> str | None:
        """The column that the sizing reads, which a name must have to be sized."""
        match self.sizing:
            case InverseVolatility():
                return "volatility"
            case AsProposed():
                return "proposed_weight"
        return None

    @property
    def all_signals(self) -> tuple[SignalConfig, ...]:
        """The scored signals and the one that the sizing reads."""
        extra = self.sizing_signal
        known = {signal.name for signal in self.scoring.signals}
        return self.scoring.signals if extra is None or extra.name in known else (*self.scoring.signals, extra)

    @property
    def reads(self) -> Source:
        """What the store reads: tables or the queries in their place, and the signals that are queries."""
        signal_queries = {signal.name: signal.sql for signal in self.all_signals if isinstance(signal, QuerySignal)}
        return Source(self.source.queries, signal_queries)

    @property
    def history_days(self) -> int:
        """How many calendar days of prices and signals a run reads: enough for the longest window, holidays
        included."""
        ages = (
            self.data_gate.max_price_age_days,
            self.data_gate.max_signal_age_days,
            self.data_gate.max_candidates_age_days,
        )
        return max(ages) + HOLIDAYS + required_observations(self.all_signals) * 3 // 2

    @property
    def document(self) -> str:
        """The whole content as YAML, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    @property
    def hash(self) -> str:
        """SHA-256 of the content: equal for documents that differ in layout, comments or order of keys only."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        return hashlib.sha256(content.encode()).hexdigest()


def _require_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ConfigurationError(
            f"time_zone {name!r} is unknown: use a name such as America/New_York, Europe/London or UTC."
        ) from error


def require_room_for_both_sides(sizing: Sizing, limits: RebalancingLimits) -> None:
    """Raise where a long-short sizing asks for more names than the count limits allow."""
    if not isinstance(sizing, LongShort):
        return
    names = 2 * sizing.names_per_side
    for limit in ("max_total_positions", "max_new_positions"):
        if getattr(limits, limit) < names:
            raise ConfigurationError(
                f"long_short with {sizing.names_per_side} names per side may need {names} names, but limits.{limit} is "
                f"{getattr(limits, limit)}: raise it to at least {names}."
            )
    if not limits.allow_forced_closures:
        raise ConfigurationError(
            "long_short picks its names afresh and closes the others: set limits.allow_forced_closures to true."
        )
    if limits.initial_new_positions is not None and limits.initial_new_positions < names:
        raise ConfigurationError(
            f"long_short needs {names} names to begin with, but limits.initial_new_positions is "
            f"{limits.initial_new_positions}: raise it to at least {names}, or leave it out."
        )
