"""The engine: the chain of a rebalance, in order, without Prefect.

Each step is a function of frames, used by the tasks of the flow and by `decided` alike: `considered_universe`,
`scored_names`, `within_buckets`, `selected_names`, `sized_names`, `constrained_weights`, `verified`, `plan_of`.
`decided` runs all but the first and makes a `Plan`; nothing here has a side effect but a numbered line in the log.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from core.actions import action_rows, numbered
from core.arithmetic import ordered_sum
from core.constraints import ConstrainedWeights
from core.decisions.bucket_limits_enforcer import enforce_bucket_limits
from core.decisions.ranking import ALIVE
from core.decisions.scoring import on_proposed_side, scored, with_sizing_input
from core.decisions.screening import screened
from core.decisions.selection import chosen, chosen_per_side, unmet_buckets
from core.decisions.sizing import sized
from core.decisions.universe import considered
from core.inputs import Gated
from core.limits import TOLERANCE, RebalancingLimits
from core.models import Constrained, Step
from core.policy import AsProposed, LongShort, Policy
from core.results.explain import decisions, explanations, unexplained
from core.results.targets import bucket_statistics, targets
from core.results.verify import breaches
from core.schemas import KEYS, RUN_KEYS, Actions, Infeasible, Relaxations, WaysOut, empty
from core.timing import timed
from core.wording import plural

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What would be published for the runs of a batch; a run with breaches must not be.

    `rows`: every name considered, with its decision and weights. The other frames have the schemas `Targets`,
    `Actions`, `Breaches`, `BucketStatisticsRows`, `Explanations`, `Decisions`, `Relaxations`, `Infeasible` and
    `WaysOut`. An infeasible run has no targets and no explanations; its decisions tell how far it came.
    `solvers`: how many runs each solver has solved exactly.
    """

    rows: pl.DataFrame
    targets: pl.DataFrame
    actions: pl.DataFrame
    breaches: pl.DataFrame
    bucket_statistics: pl.DataFrame
    explanations: pl.DataFrame
    decisions: pl.DataFrame
    relaxations: pl.DataFrame
    infeasible: pl.DataFrame
    ways_out: pl.DataFrame
    solvers: Mapping[str, int]


def decided(universe: pl.DataFrame, signal_values: pl.DataFrame, nav: pl.DataFrame, policy: Policy) -> Plan:
    """The plan for a universe: scores, decisions, weights, their verification, targets.

    `universe`: schema `Universe`. `signal_values`: symbol, signal, value. `nav`: portfolio_id, as_of, nav, cash.
    """
    return planned(scored_names(universe, signal_values, policy), nav, policy)


def planned(scores: Step, nav: pl.DataFrame, policy: Policy) -> Plan:
    """The plan for names that are scored and screened."""
    enforced = within_buckets(scores.rows, policy)
    selected = selected_names(enforced.rows, policy)
    constrained = constrained_weights(sized_names(selected.rows, policy), nav, policy)
    found = verified(constrained, nav, policy)
    return plan_of([scores, enforced, selected], constrained, found, nav, policy)


@timed("targets")
def plan_of(
    steps: Sequence[Step], constrained: Constrained, found: pl.DataFrame, nav: pl.DataFrame, policy: Policy
) -> Plan:
    """Step targets: the constrained rows as what a desk trades, with the actions of all steps, their story, and the
    breaches found; a change of weight that no action tells is a breach too."""
    announce("targets", policy.limits)
    rows, actions = constrained.rows, numbered(step.actions for step in (*steps, constrained))
    feasible, of_feasible = (frame.join(constrained.infeasible, on=RUN_KEYS, how="anti") for frame in (rows, nav))
    target_rows = targets(feasible, of_feasible, actions)
    explained = explanations(rows, actions)
    return Plan(
        rows=rows,
        targets=target_rows,
        actions=actions,
        breaches=pl.concat([found, unexplained(explained)]),
        bucket_statistics=bucket_statistics(target_rows, policy.limits),
        explanations=explained,
        decisions=decisions(rows, actions),
        relaxations=constrained.relaxations,
        infeasible=constrained.infeasible,
        ways_out=constrained.ways_out,
        solvers=constrained.solvers,
    )


def announce(step: str, limits: RebalancingLimits) -> None:
    """Log a step with its number, for example `Step 3/5: buckets`."""
    steps = ["universe", "scoring", "selection", "targets"]
    if limits.enable_bucket_diversification:
        steps.insert(2, "buckets")
    logger.info("Step %d/%d: %s", steps.index(step) + 1, len(steps), step)


@timed("universe")
def considered_universe(gated: Gated, policy: Policy) -> pl.DataFrame:
    """Step universe: the holdings and candidates of each portfolio that the data gate lets through."""
    announce("universe", policy.limits)
    return considered(gated)


@timed("scoring")
def scored_names(universe: pl.DataFrame, signal_values: pl.DataFrame, policy: Policy) -> Step:
    """Step scoring: scores, then the screening of names that may not compete for a slot."""
    announce("scoring", policy.limits)
    two_sided = isinstance(policy.sizing, LongShort)
    rows = scored(universe, signal_values, policy.scoring.signals, two_sided=two_sided)
    if policy.sizing_input and policy.sizing_signal:
        rows = with_sizing_input(rows, signal_values, policy.sizing_input, policy.sizing_signal.name)
    return screened_names(rows, policy)


def screened_names(rows: pl.DataFrame, policy: Policy) -> Step:
    """Scored rows with the names that may not compete for a slot rejected."""
    sided = on_proposed_side(rows) if isinstance(policy.sizing, AsProposed) else rows
    return screened(sided, policy.limits, policy.sizing_input)


@timed("buckets")
def within_buckets(rows: pl.DataFrame, policy: Policy) -> Step:
    """Step buckets: the names that their buckets have room for; without bucket diversification, nothing happens."""
    if not policy.limits.enable_bucket_diversification:
        return Step(rows, empty(Actions))
    announce("buckets", policy.limits)
    # Weights are decided later, by the names that selection leaves: the allocation limit is the constrain step's.
    limits = replace(policy.limits.bucket_limits, enforce_allocation_limits=False)
    return enforce_bucket_limits(rows, limits, protect_held=not policy.limits.allow_forced_closures)


@timed("selection")
def selected_names(rows: pl.DataFrame, policy: Policy) -> Step:
    """Step selection: the best choice that all count limits allow."""
    announce("selection", policy.limits)
    if isinstance(policy.sizing, LongShort):
        return chosen_per_side(rows, policy.sizing.names_per_side)
    return chosen(rows, policy.limits)


@timed("sizing")
def sized_names(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """The wanted weights of the selected names."""
    return sized(rows, policy.sizing, policy.limits)


@timed("constraints")
def constrained_weights(rows: pl.DataFrame, nav: pl.DataFrame, policy: Policy) -> Constrained:
    """Rows of `Sized` with `target_weight`: the wanted weights under all constraints.

    Names that are neither held nor selected take no part, and end at 0; a held name that is to be closed is wanted at
    0: it shifts no mean and fills no room, but a limit on turnover may keep part of it. A run without a solution has
    null weights. The actions end with what the final weights of each run of `nav` leave undone.
    """
    wanted = rows.filter(ALIVE | pl.col("held")).select(
        *KEYS, "bucket", "current_weight", pl.col("wanted_weight").alias("weight"), pl.col("fixed").alias("frozen")
    )
    constrained = policy.constraint_set().apply(wanted, by=RUN_KEYS)
    placed = _placed(rows, constrained)
    runs = nav.select(RUN_KEYS)
    feasible = runs.join(constrained.infeasible, on=RUN_KEYS, how="anti", maintain_order="left")
    undone = [
        _without_room(placed),
        unmet_buckets(_or_wanted(placed), runs, policy.limits),
        _shortfall(placed, feasible, policy.limits),
        *([_off_balance(placed, feasible)] if isinstance(policy.sizing, LongShort) else []),
    ]
    return Constrained(
        placed,
        numbered([_rule_changes(constrained.actions), *undone]),
        Relaxations.cast(constrained.relaxations),
        Infeasible.cast(constrained.infeasible),
        WaysOut.cast(constrained.ways_out),
        dict(constrained.solved.group_by("solver").len().sort("solver").iter_rows()),
    )


def _or_wanted(placed: pl.DataFrame) -> pl.DataFrame:
    """The rows, where a run has no solution with its wanted weights: what they leave unmet has a way out too."""
    return placed.with_columns(target_weight=pl.coalesce("target_weight", "wanted_weight"))


def _placed(rows: pl.DataFrame, constrained: ConstrainedWeights) -> pl.DataFrame:
    """The rows with their final weights: 0 for names that took no part, and for dust; null in runs without any."""
    final = constrained.weights.select(*KEYS, pl.col("weight").alias("target_weight"))
    without = constrained.infeasible.select(*RUN_KEYS, infeasible=True)
    target = pl.col("target_weight").fill_null(0.0)
    return (
        rows.join(final, on=KEYS, how="left", maintain_order="left")
        .join(without, on=RUN_KEYS, how="left", maintain_order="left")
        .with_columns(target_weight=pl.when(target.abs() > TOLERANCE).then(target).otherwise(0.0))
        .with_columns(target_weight=pl.when(pl.col("infeasible").is_null()).then("target_weight"))
        .drop("infeasible")
    )


def _rule_changes(changes: pl.DataFrame) -> pl.DataFrame:
    """The actions of the constraint set as actions of a run."""
    columns = {name: pl.col(name) for name in ("before", "after", "limit", "detail")}
    return action_rows(changes, "constraints", pl.col("rule"), "", **columns).with_columns(verb=changes["verb"])


def _without_room(rows: pl.DataFrame) -> pl.DataFrame:
    """One action per selected name that ends without a weight."""
    empty_handed = ALIVE & ~pl.col("fixed") & (pl.col("target_weight") == 0)
    wanted = pl.col("wanted_weight")
    return action_rows(rows.filter(empty_handed), "constraints", "no_room", "reject", before=wanted, after=pl.lit(0.0))


def _shortfall(rows: pl.DataFrame, runs: pl.DataFrame, limits: RebalancingLimits) -> pl.DataFrame:
    """One action per run whose gross stays below the total wanted."""
    totals = rows.group_by(RUN_KEYS).agg(gross=ordered_sum(pl.col("target_weight").abs()), names=ALIVE.sum())
    gross = runs.join(totals, on=RUN_KEYS, how="left", maintain_order="left").with_columns(
        pl.col("gross").fill_null(0.0), pl.col("names").fill_null(0)
    )
    short = gross.filter(pl.col("gross") < limits.target_total_allocation - TOLERANCE)
    why = (
        pl.when(pl.col("names") == 0)
        .then(pl.lit("no name was selected"))
        .otherwise(pl.format("no room for more in {} name{}", "names", plural(pl.col("names"))))
    )
    return action_rows(
        short, "constraints", "target_total_allocation", "shortfall",
        before=pl.col("gross"), limit=limits.target_total_allocation, detail=why,
    )  # fmt: skip


def _off_balance(rows: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """One action per long-short run whose net is not 0."""
    nets = rows.group_by(RUN_KEYS).agg(net=ordered_sum(pl.col("target_weight")))
    off = runs.join(nets, on=RUN_KEYS, maintain_order="left").filter(pl.col("net").abs() > TOLERANCE)
    why = "fixed names and limits weigh on one side; a constraint `market_neutral` would make it a limit"
    return action_rows(off, "constraints", "long_short", "shortfall", before=pl.col("net"), limit=0.0, detail=why)


@timed("verification")
def verified(constrained: Constrained, nav: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """The limits in force that the final weights of the runs of `nav` do not meet; empty where all are met."""
    per_side = policy.sizing.names_per_side if isinstance(policy.sizing, LongShort) else None
    limits, runs = policy.constraint_set().constraints, nav.select(RUN_KEYS)
    return breaches(constrained.rows, runs, limits, policy.limits, per_side, constrained.relaxations)
