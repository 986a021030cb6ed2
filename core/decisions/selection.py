"""Selection: the names to hold, the best choice that all count limits allow.

Among all choices within the limits, the best one has, in this order: the most buckets represented, up to the minimum;
the most incumbents kept; their highest total score; the most new names; their highest total score; ties by name.

`chosen` finds it in two rounds of one rule, `_queue`: the best names fill a number of slots, some of which are
reserved for the best names of buckets that would not be represented otherwise, their anchors. That is exact: the
limits left (names per bucket, which enforcement has applied, and names in total) form a laminar matroid, in which
taking the best first is optimal, and an anchor costs exactly the last of the names that are none.

1. `_held_slots` counts what fixed names leave, how many buckets incumbents can represent, and how many slots must go
   to new names of buckets without an incumbent; `_queue` puts the incumbents in line.
2. `_new_slots` counts what is left; `_queue` puts the new names in line.

Where held names are protected (`allow_bucket_overflow`, or no forced closures), no incumbent gives way to
representation. `chosen_per_side` is the choice of a long-short book instead: the best n of each side.
"""

from functools import partial

import polars as pl

from core.actions import action_rows, numbered
from core.decisions.ranking import ALIVE, INCUMBENT, NEW, in_slot_order, place, reject
from core.limits import TOLERANCE, RebalancingLimits
from core.models import Step
from core.schemas import KEYS, RUN_KEYS, UNKNOWN_BUCKET

STEP = "selection"
OF_BUCKET = (*RUN_KEYS, "bucket")
NAMED = pl.col("bucket") != UNKNOWN_BUCKET
TAKEN = pl.col("queue") <= pl.col("slots")


def chosen(rows: pl.DataFrame, limits: RebalancingLimits) -> Step:
    """Rows of `Decided`; the names for which no slot is left are rejected."""
    decided, fixed = rows.filter(~ALIVE), rows.filter(ALIVE & pl.col("fixed"))
    incumbents, new = rows.filter(ALIVE & INCUMBENT), rows.filter(ALIVE & NEW)
    slots = _held_slots(rows, fixed, incumbents, new, limits)
    incumbents = _queue(incumbents, slots, _represented(fixed, limits))
    kept = pl.concat([fixed, incumbents.filter(TAKEN).select(rows.columns)])
    new = _queue(new, _new_slots(slots, kept, limits), _represented(kept, limits))
    incumbents, closed = _close(incumbents, limits)
    new, left_out = _leave_out(new, limits)
    chosen_rows = pl.concat([decided, fixed, *(part.select(rows.columns) for part in (incumbents, new))]).sort(KEYS)
    admitted = [_admitted(part, limits) for part in (incumbents, new)]
    return Step(chosen_rows, numbered([closed, left_out, *admitted]))


def _held_slots(
    rows: pl.DataFrame, fixed: pl.DataFrame, incumbents: pl.DataFrame, new: pl.DataFrame, limits: RebalancingLimits
) -> pl.DataFrame:
    """One row per run: slots for incumbents and how many of them are reserved for anchors."""
    initial = limits.max_new_positions if limits.initial_new_positions is None else limits.initial_new_positions
    represented = _represented(fixed, limits)
    with_incumbent = _buckets(incumbents).join(represented, on=OF_BUCKET, how="anti")
    only_new = _buckets(new).join(pl.concat([represented, with_incumbent]), on=OF_BUCKET, how="anti")
    runs = rows.group_by(RUN_KEYS, maintain_order=True).agg(
        entries=pl.when(pl.col("held").any()).then(limits.max_new_positions).otherwise(initial)
    )
    for name, counted in (
        ("n_kept", fixed), ("n_incumbents", incumbents),
        ("n_represented", represented), ("n_with_incumbent", with_incumbent), ("n_only_new", only_new),
    ):  # fmt: skip
        runs = _counted(runs, counted, name)
    left = _floor(limits.max_total_positions - pl.col("n_kept"))
    if not limits.allow_forced_closures:
        return runs.with_columns(left=left, slots=pl.col("n_incumbents"), anchors=0)
    if limits.allow_bucket_overflow:
        return runs.with_columns(left=left, slots=left, anchors=0)
    missing = _floor(limits.required_buckets - pl.col("n_represented"))
    anchors = pl.min_horizontal(missing, "n_with_incumbent", left)
    reserved = pl.min_horizontal(missing - anchors, "n_only_new", "entries", left - anchors)
    return runs.with_columns(left=left, slots=left - reserved, anchors=anchors)


def _new_slots(slots: pl.DataFrame, kept: pl.DataFrame, limits: RebalancingLimits) -> pl.DataFrame:
    """One row per run: slots for new names and how many of them are reserved for anchors."""
    runs = _counted(slots.select(*RUN_KEYS, "entries"), kept, "n_kept")
    runs = _counted(runs, _represented(kept, limits), "n_represented")
    left = _floor(limits.max_total_positions - pl.col("n_kept"))
    return runs.with_columns(left=left, slots=pl.min_horizontal("entries", left)).with_columns(
        anchors=pl.min_horizontal("slots", _floor(limits.required_buckets - pl.col("n_represented")))
    )


def _queue(pool: pl.DataFrame, slots: pl.DataFrame, represented: pl.DataFrame) -> pl.DataFrame:
    """The pool in line for its slots: `queue` is the 1-based place, forced anchors first, then all others by score."""
    first_of_bucket = (place("bucket") == 1) & NAMED & pl.col("represented").is_null()
    forced = pl.col("anchor") & (pl.col("anchor").cum_sum().over(RUN_KEYS) <= pl.col("anchors"))
    of_forced = pl.col("forced").cum_sum().over(RUN_KEYS)
    of_others = pl.col("forced").sum().over(RUN_KEYS) + (~pl.col("forced")).cum_sum().over(RUN_KEYS)
    return (
        in_slot_order(pool)
        .join(slots, on=RUN_KEYS, how="left", maintain_order="left")
        .join(represented.with_columns(represented=True), on=OF_BUCKET, how="left", maintain_order="left")
        .with_columns(anchor=first_of_bucket, place=place())
        .with_columns(forced=forced)
        .with_columns(queue=pl.when("forced").then(of_forced).otherwise(of_others).cast(pl.Int64))
    )


def _close(incumbents: pl.DataFrame, limits: RebalancingLimits) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reject the incumbents beyond their slots: for the total, or because a new bucket needs the slot."""
    out = partial(reject, step=STEP, limit=limits.max_total_positions, level=pl.col("n_kept") + pl.col("queue"))
    incumbents, for_total = out(incumbents, ~TAKEN & (pl.col("queue") > pl.col("left")), rule="max_total_positions")
    incumbents, gave_way = out(incumbents, ~TAKEN, rule="min_buckets_represented")
    return incumbents, pl.concat([for_total, gave_way])


def _leave_out(new: pl.DataFrame, limits: RebalancingLimits) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reject the new names beyond their slots, by the limit that binds."""
    new, for_total = reject(
        new, ~TAKEN & (pl.col("left") < pl.col("entries")), STEP, "max_total_positions",
        level=pl.col("n_kept") + pl.col("queue"), limit=limits.max_total_positions,
    )  # fmt: skip
    new, for_entries = reject(
        new, ~TAKEN, STEP, "max_new_positions", level=pl.col("queue"), limit=pl.col("entries")
    )  # fmt: skip
    return new, pl.concat([for_total, for_entries])


def _admitted(queued: pl.DataFrame, limits: RebalancingLimits) -> pl.DataFrame:
    """One action per name that holds a slot only because its bucket would not be represented otherwise."""
    beyond = pl.col("forced") & (pl.col("place") > pl.col("slots"))
    return action_rows(queued.filter(beyond), STEP, "min_buckets_represented", "admit", limit=limits.required_buckets)


def unmet_buckets(rows: pl.DataFrame, runs: pl.DataFrame, limits: RebalancingLimits) -> pl.DataFrame:
    """One action per run whose final weights represent too few buckets, with the nearest way out.

    `rows` have `target_weight`; `runs` (portfolio_id, as_of) are all runs, also those without a row.
    """
    large = pl.col("target_weight").abs() >= limits.min_position_weight - TOLERANCE
    represented = _buckets(rows.filter(large))
    short = _counted(runs, represented, "reached").filter(pl.col("reached") < limits.required_buckets)
    outside = rows.filter(~large & NAMED & pl.col("score").is_not_null()).join(represented, on=OF_BUCKET, how="anti")
    best = in_slot_order(outside.with_columns(fixed=False, held=False)).unique(RUN_KEYS, keep="first")
    found = short.join(best, on=RUN_KEYS, how="left", maintain_order="left")
    way_out = pl.Series([_way_out(row, limits) for row in found.iter_rows(named=True)], dtype=pl.String)
    return action_rows(
        found.select(*RUN_KEYS, "reached").with_columns(way_out=way_out), STEP, "min_buckets_represented", "unmet",
        before=pl.col("reached"), limit=limits.required_buckets, detail=pl.col("way_out"),
    )  # fmt: skip


def _way_out(best: dict[str, object], limits: RebalancingLimits) -> str:
    if best["symbol"] is None:
        return "no other bucket has a candidate with a score"
    candidate = f"best candidate of {best['bucket']} scores {best['score']:.4f}"
    thresholds = {
        "min_score_new_position": f"entry threshold {limits.min_score_new_position:.4f}",
        "min_score_threshold": f"holding threshold {limits.min_score_threshold:.4f}",
    }
    rule = best["rejected_by"]
    if rule is None:
        return f"{candidate}, but its weight is too small"
    return f"{candidate}, {thresholds.get(str(rule), f'rejected by {rule}')}"


def chosen_per_side(rows: pl.DataFrame, per_side: int) -> Step:
    """Rows of `Decided` for a long-short book: the best `per_side` names of each side stay, fixed names among them."""
    in_line = (*RUN_KEYS, "side", "out", "score", "symbol")
    fixed = (ALIVE & pl.col("fixed")).sum().over(*RUN_KEYS, "side")
    ordered = (
        rows.with_columns(n_fixed=fixed, out=~ALIVE | pl.col("fixed"))
        .sort(in_line, descending=[name == "score" for name in in_line], nulls_last=True)
        .with_columns(queue=pl.col("n_fixed") + place("side", "out"))
    )
    beyond = ~pl.col("fixed") & (pl.col("queue") > per_side)
    kept, actions = reject(ordered, beyond, STEP, "long_short", level=pl.col("queue"), limit=per_side)
    return Step(kept.select(rows.columns).sort(KEYS), numbered([actions]))


def _buckets(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(NAMED).select(OF_BUCKET).unique()


def _represented(rows: pl.DataFrame, limits: RebalancingLimits) -> pl.DataFrame:
    """The buckets that kept names represent; a name without a decided weight is taken to be large enough."""
    too_small = pl.col("fixed") & (pl.col("current_weight").abs() < limits.min_position_weight - TOLERANCE)
    return _buckets(rows.filter(~too_small))


def _counted(runs: pl.DataFrame, counted: pl.DataFrame, name: str) -> pl.DataFrame:
    """`runs` with the number of rows of `counted` in each."""
    numbers = counted.group_by(RUN_KEYS).agg(pl.len().cast(pl.Int64).alias(name))
    return runs.join(numbers, on=RUN_KEYS, how="left", maintain_order="left").with_columns(pl.col(name).fill_null(0))


def _floor(count: pl.Expr) -> pl.Expr:
    return count.clip(lower_bound=0)
