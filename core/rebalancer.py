"""The engine as objects, for notebooks, tests and small scripts: one portfolio, lists of assets in, lists of targets
out.

`CoreRebalancerEngine` runs the very steps of `core.engine`; its parts, `ScoringService` and `SelectionService` beside
`UniverseBuilder` and `BucketLimitsEnforcer`, do one step each.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from core.actions import sentences
from core.decisions.bucket_limits_enforcer import BucketLimitsEnforcer, violations_fixed
from core.decisions.bucket_manager import BucketManager
from core.decisions.listing import NO_DATE, PORTFOLIO, as_rows
from core.decisions.objects import finite, require_day, require_kind, require_name, require_usable, shown
from core.decisions.ranking import ALIVE, in_slot_order
from core.decisions.scoring import mirrored, scored
from core.decisions.universe import UniverseBuilder, held_weights
from core.engine import Plan, announce, decided, planned, screened_names
from core.errors import InfeasibleError, InputError, nearest_hint
from core.inputs import SignalConfig
from core.limits import RebalancingLimits
from core.models import AssetScore, BucketStatistics, RebalancingTarget
from core.policy import (
    DEFAULT_SIGNALS,
    Constraint,
    EqualWeight,
    InverseVolatility,
    LongShort,
    Policy,
    Scoring,
    Sizing,
)
from core.results.document import document, to_json
from core.results.verify import breach_sentence
from core.schemas import KEYS, AssetPriority, TradeAction

logger = logging.getLogger(__name__)

SignalValues = Mapping[str, Mapping[str, float]]
"""Signal name -> asset -> value; an asset that is not there has no such signal."""


@dataclass(frozen=True)
class RebalancingPlan:
    """What a rebalance would do, and why. `unmet` and `breaches` are empty where every limit is met.

    `actions` and `breaches` are frames of the schemas `Actions` and `Breaches`; `enforcement_actions` are the
    sentences of the actions, one to one. Where no weights meet all limits, `conflict` says which limits conflict and
    what makes room, and there are no targets.
    """

    as_of: dt.date
    targets: list[RebalancingTarget]
    actions: pl.DataFrame
    enforcement_actions: list[str]
    violations_fixed: list[str]
    bucket_statistics: dict[str, BucketStatistics]
    unmet: dict[str, dict[str, Any]]
    breaches: pl.DataFrame
    content: dict[str, Any]
    conflict: str | None = None

    def to_json(self, timestamp: dt.datetime | None = None) -> str:
        """The JSON output; `timestamp` is by default the as-of date at midnight UTC."""
        if timestamp is None or self.conflict is not None:
            return to_json(self.content)
        return to_json(self.content | {"metadata": self.content["metadata"] | {"timestamp": timestamp.isoformat()}})


class ScoringService:
    """Scores the assets of a universe."""

    def __init__(self, signals: Sequence[SignalConfig] = DEFAULT_SIGNALS) -> None:
        self.signals = tuple(signals)

    def score_assets(self, universe: pl.DataFrame, signal_values: SignalValues) -> list[AssetScore]:
        """One `AssetScore` per row of a universe (schema `Universe`), in its order; no signal at all: no score.

        Raises `InputError` for a signal that is not one of the service's.
        """
        rows = scored(universe, _read_values(signal_values, self.signals), self.signals)
        return [_as_score(row, signal_values, self.signals) for row in rows.iter_rows(named=True)]


class SelectionService:
    """Selects names and turns them into targets."""

    def __init__(self, bucket_manager: BucketManager) -> None:
        self.bucket_manager = bucket_manager

    def select_by_score(
        self,
        scored_assets: Sequence[AssetScore],
        current_positions: Mapping[str, float],
        limits: RebalancingLimits,
    ) -> list[AssetScore]:
        """The assets to hold under thresholds, bucket and count limits: fixed first, then held, then by score."""
        policy = Policy(name="selection", limits=limits)
        plan = _planned(self.bucket_manager, scored_assets, current_positions, policy)
        assets, _ = _with_held(scored_assets, current_positions)
        given = {asset_score.asset: asset_score for asset_score in assets}
        return [given[symbol] for symbol in in_slot_order(plan.rows.filter(ALIVE))["symbol"]]

    def create_rebalancing_targets(
        self,
        scored_assets: Sequence[AssetScore],
        current_positions: Mapping[str, float],
        limits: RebalancingLimits,
        sizing: Sizing | None = None,
    ) -> list[RebalancingTarget]:
        """The targets of a rebalance of these assets, held names that close included."""
        policy = Policy(name="targets", limits=limits, sizing=sizing or EqualWeight())
        return _as_targets(_planned(self.bucket_manager, scored_assets, current_positions, policy).targets)


class CoreRebalancerEngine:
    """Rebalances one portfolio.

    `buckets`: a `BucketManager`, or what it is made from. `sizing` and `constraints` as in a policy.
    """

    def __init__(
        self,
        buckets: BucketManager | Mapping[str, Sequence[str]] | Any | None = None,
        *,
        signals: Sequence[SignalConfig] = DEFAULT_SIGNALS,
        sizing: Sizing | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self.bucket_manager = buckets if isinstance(buckets, BucketManager) else BucketManager(buckets)
        self.universe_builder = UniverseBuilder(self.bucket_manager)
        self.scoring_service = ScoringService(signals)
        self.bucket_enforcer = BucketLimitsEnforcer(self.bucket_manager)
        self.selection_service = SelectionService(self.bucket_manager)
        self._sizing = sizing or EqualWeight()
        self._constraints = tuple(constraints)

    def plan(
        self,
        as_of: dt.date,
        current_positions: Mapping[str, float],
        scored_assets: Sequence[AssetScore] | None = None,
        limits: RebalancingLimits = RebalancingLimits(),  # noqa: B008 - frozen
        *,
        candidates: Iterable[str] = (),
        signal_values: SignalValues | None = None,
    ) -> RebalancingPlan:
        """Plan the rebalance of one portfolio; nothing is published and no input is changed.

        `current_positions`: symbol -> signed weight. `scored_assets` given: universe and scoring are skipped; a held
        name that is not among them has no score and is fixed. Otherwise `candidates` and `signal_values` are scored.
        """
        require_day("as_of", as_of)
        require_kind("limits", limits, RebalancingLimits, "RebalancingLimits")
        policy = Policy(
            name="plan",
            scoring=Scoring(self.scoring_service.signals),
            limits=limits,
            sizing=self._sizing,
            constraints=self._constraints,
        )
        if scored_assets is None:
            announce("universe", limits)
            universe = self.universe_builder.get_universe(as_of, current_positions, candidates)
            values = _read_values({} if signal_values is None else signal_values, policy.all_signals)
            plan = decided(universe, values, _no_nav(as_of), policy)
        else:
            plan = _planned(self.bucket_manager, scored_assets, current_positions, policy, as_of)
        targets = _as_targets(plan.targets)
        conflict = None if plan.infeasible.is_empty() else plan.infeasible["conflict"].item()
        return RebalancingPlan(
            as_of=as_of,
            targets=targets,
            actions=plan.actions,
            enforcement_actions=sentences(plan.actions),
            violations_fixed=violations_fixed(plan.actions),
            bucket_statistics=self.bucket_manager.calculate_bucket_statistics(_still_held(targets)),
            unmet=_unmet(plan.actions),
            breaches=plan.breaches,
            content={"refused": conflict} if conflict is not None else _content(plan, limits),
            conflict=conflict,
        )

    def rebalance(
        self,
        as_of: dt.date,
        current_positions: Mapping[str, float],
        scored_assets: Sequence[AssetScore] | None = None,
        limits: RebalancingLimits = RebalancingLimits(),  # noqa: B008 - frozen
        *,
        candidates: Iterable[str] = (),
        signal_values: SignalValues | None = None,
    ) -> list[RebalancingTarget]:
        """The targets of `plan`, called with the same arguments; an unmet requirement is logged as a warning.

        Raises `InfeasibleError` where limits conflict, so that there are no targets: an empty list would mean that
        nothing is to be held.
        """
        plan = self.plan(
            as_of, current_positions, scored_assets, limits, candidates=candidates, signal_values=signal_values
        )
        for requirement, found in plan.unmet.items():
            logger.warning("%s: %s of %s, %s", requirement, found["reached"], found["required"], found["reason"])
        if plan.conflict is not None:
            raise InfeasibleError(plan.conflict)
        for breach in plan.breaches.iter_rows(named=True):
            logger.warning("%s", breach_sentence(breach))
        return plan.targets


def _read_values(signal_values: SignalValues, signals: Sequence[SignalConfig]) -> pl.DataFrame:
    """As `as_signal_values`; `InputError` too for a name that nothing reads: that signal would be missing silently."""
    rows, read = as_signal_values(signal_values), [signal.name for signal in signals]
    for name in signal_values:
        if name not in read:
            raise InputError(f"signal {shown(name)} is none of those that are read; {nearest_hint(name, read)}")
    return rows


def as_signal_values(signal_values: SignalValues) -> pl.DataFrame:
    """A mapping of signals as rows: symbol, signal, value. Raises `InputError` where a value is not finite."""
    require_kind("signal_values", signal_values, Mapping, "a mapping from signal to a mapping from asset to number")
    rows = [(symbol, name, number) for name, of in signal_values.items() for symbol, number in _signal(name, of)]
    return pl.DataFrame(rows, schema={"symbol": pl.String, "signal": pl.String, "value": pl.Float64}, orient="row")


def _signal(name: str, of: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    require_name("the name of a signal", name)
    require_kind(f"signal {shown(name)}", of, Mapping, "a mapping from asset to number")
    for symbol, given in of.items():
        require_name(f"an asset of signal {shown(name)}", symbol)
        told = f"signal {shown(name)} of {shown(symbol)}"
        yield symbol, finite(told, given, "a finite number, or leave the asset out")


def _planned(
    bucket_manager: BucketManager,
    scored_assets: Sequence[AssetScore],
    current_positions: Mapping[str, float],
    policy: Policy,
    as_of: dt.date = NO_DATE,
) -> Plan:
    """The plan for assets that are scored already."""
    if isinstance(policy.sizing, InverseVolatility):
        raise InputError("inverse_volatility reads prices, which a list of assets has none of: use another sizing.")
    assets, held = _with_held(scored_assets, current_positions)
    rows = as_rows(assets, bucket_manager, as_of, held)
    if isinstance(policy.sizing, LongShort):
        rows = mirrored(rows, pl.lit(True)).sort(KEYS)
    return planned(screened_names(rows, policy), _no_nav(as_of), policy)


def _with_held(
    scored_assets: Sequence[AssetScore], current_positions: Mapping[str, float]
) -> tuple[list[AssetScore], dict[str, float]]:
    """The assets with the held ones among them that are not scored, and the weight of each held one.

    An asset of priority PORTFOLIO that `current_positions` does not list is held at its `previous_allocation`.
    """
    require_usable(scored_assets)
    held = held_weights(current_positions)
    for asset_score in scored_assets:
        if asset_score.priority is AssetPriority.PORTFOLIO and asset_score.asset not in current_positions:
            held |= held_weights({asset_score.asset: _previous_weight(asset_score)})
    given = {asset_score.asset for asset_score in scored_assets}
    unscored = [AssetScore(asset, None, AssetPriority.PORTFOLIO) for asset in sorted(held.keys() - given)]
    assets = [replace(a, priority=AssetPriority.PORTFOLIO) if a.asset in held else a for a in scored_assets]
    return [*assets, *unscored], held


def _previous_weight(asset_score: AssetScore) -> float:
    if asset_score.previous_allocation is None:
        raise InputError(
            f"asset {asset_score.asset} has priority PORTFOLIO but no current weight: give it in current_positions or "
            "as previous_allocation, or give the asset another priority."
        )
    return asset_score.previous_allocation


def _no_nav(as_of: dt.date) -> pl.DataFrame:
    """A portfolio of weights alone: without a net asset value, targets have no notional."""
    columns = {"portfolio_id": [PORTFOLIO], "as_of": [as_of], "nav": [None], "cash": [None]}
    return pl.DataFrame(columns, schema_overrides={"nav": pl.Float64, "cash": pl.Float64})


def _content(plan: Plan, limits: RebalancingLimits) -> dict[str, Any]:
    return document(plan.targets, plan.actions, plan.bucket_statistics, limits)


def _as_score(row: dict[str, Any], signal_values: SignalValues, signals: Sequence[SignalConfig]) -> AssetScore:
    missing = [signal.name for signal in signals if row["symbol"] not in signal_values.get(signal.name, {})]
    return AssetScore(
        asset=row["symbol"],
        combined_score=row["score"],
        priority=AssetPriority(row["priority"]),
        date=row["as_of"],
        confidence=row["confidence"],
        previous_allocation=row["current_weight"],
        scoring_reason=row["reason"],
        missing_data_flags=missing,
    )


def _as_targets(target_rows: pl.DataFrame) -> list[RebalancingTarget]:
    return [
        RebalancingTarget(
            asset=row["symbol"],
            target_allocation_pct=row["target_weight"],
            current_allocation_pct=row["current_weight"],
            action=row["action"],
            priority=AssetPriority(row["priority"]),
            score=row["score"],
            reason=row["reason"],
        )
        for row in target_rows.filter(~pl.col("is_cash")).iter_rows(named=True)
    ]


def _still_held(targets: Sequence[RebalancingTarget]) -> list[AssetScore]:
    return [
        AssetScore(target.asset, target.score, target.priority, target.target_allocation_pct)
        for target in targets
        if target.action != TradeAction.CLOSE.value
    ]


def _unmet(actions: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The requirements that could not be met, for example {"min_buckets": {"required": 3, "reached": 1, "reason":
    ...}}."""
    names = {"min_buckets_represented": "min_buckets"}
    short = actions.filter(pl.col("verb").is_in(["unmet", "shortfall"]))
    return {
        names.get(row["rule"], row["rule"]): {
            "required": _plain(row["limit"]),
            "reached": _plain(row["before"]),
            "reason": row["detail"],
        }
        for row in short.iter_rows(named=True)
    }


def _plain(number: float) -> float | int:
    """A count as a whole number."""
    return int(number) if number == int(number) else number
