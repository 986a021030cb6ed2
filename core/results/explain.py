"""Why a weight is what it is, as rows.

`decisions` tells for each name considered what became of it before any weight was made: its signals, its score, and
the rule that rejected, fixed or admitted it, as a sentence with the distance to what was asked (`_why`). `explanations`
tells from the wanted weight on which rule changed it, by how much and at which limit; `_changes` takes the amounts
from the actions, and `_closing` adds what they leave, so that the amounts of a name always add up. A rest above the
tolerance is no rounding: some code changed a weight and left no action (`unexplained`).
"""

import polars as pl

from core.limits import TOLERANCE
from core.schemas import KEYS, RUN_KEYS, Breaches, Decisions, Explanations
from core.wording import plural

ROUNDING = "rounding"
UNEXPLAINED = "unexplained"
EXACT = 1e-13  # a rest up to this size is no change at all
CHANGES = ("cut", "raise", "shift")
CHANGE = pl.col("change")
STEP_COLUMNS = (*KEYS, "seq", "rule", "limit", "before", "change", "after")


def explanations(rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """One row per name and rule that changed its weight, from the wanted weight to the target; schema `Explanations`.

    `rows`: schema `Sized` with `target_weight`; a name without one (its run is infeasible) has no rows. `actions`:
    schema `Actions`, all actions of the runs. By name, the changes add up to target less wanted weight, to 1e-12.
    """
    placed = rows.filter(pl.col("target_weight").is_not_null()).select(*KEYS, "wanted_weight", "target_weight")
    changes = _changes(placed, actions)
    told = pl.concat([changes, _closing(placed, changes)]).sort(*KEYS, "seq")
    numbered = told.with_columns(seq=pl.int_range(pl.len()).over(RUN_KEYS))
    return Explanations.cast(numbered.select(Explanations.column_names()))


def _changes(placed: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """What rules changed, as their actions tell it."""
    made = actions.filter(pl.col("step") == "constraints", pl.col("verb").is_in(CHANGES))
    changed = made.with_columns(change=pl.col("after") - pl.col("before")).filter(CHANGE != 0)
    return changed.join(placed, on=KEYS, how="semi").select(STEP_COLUMNS)


def _closing(placed: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """What the changes of a name leave to its target weight: rounding, or more than rounding can be."""
    sums = changes.group_by(KEYS, maintain_order=True).agg(CHANGE.sum().alias("made"), pl.col("seq").max())
    reached = pl.col("wanted_weight") + pl.col("made").fill_null(0.0)
    ends = placed.join(sums, on=KEYS, how="left").with_columns(before=reached, after=pl.col("target_weight"))
    rest = ends.with_columns(change=pl.col("after") - pl.col("before")).filter(CHANGE.abs() > EXACT)
    return rest.with_columns(
        seq=pl.col("seq").fill_null(0) + 1,
        rule=pl.when(CHANGE.abs() > TOLERANCE).then(pl.lit(UNEXPLAINED)).otherwise(pl.lit(ROUNDING)),
        limit=pl.lit(None, pl.Float64),
    ).select(STEP_COLUMNS)


def unexplained(explained: pl.DataFrame) -> pl.DataFrame:
    """One breach per name whose weight changed without an action that says so; schema `Breaches`."""
    rest = explained.filter(pl.col("rule") == UNEXPLAINED).select(
        *RUN_KEYS,
        pl.lit("unexplained_change").alias("constraint"),
        pl.col("symbol").alias("scope"),
        pl.lit(0.0).alias("limit"),
        CHANGE.alias("level"),
        CHANGE.abs().alias("excess"),
    )
    return Breaches.cast(rest)


def decisions(rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """One row per name considered, with the reason of what became of it; schema `Decisions`, sorted by run and symbol.

    `rows`: schema `Sized` with `target_weight` (null where the run is infeasible). `actions`: all actions of the runs.
    """
    verdicts = actions.filter(pl.col("verb").is_in(["reject", "keep", "admit"]), pl.col("symbol").is_not_null())
    told = verdicts.select(*KEYS, _why().alias("why")).unique(KEYS, keep="last")
    known = rows.join(told, on=KEYS, how="left", maintain_order="left").with_columns(
        signals=pl.col("reason"), why=pl.coalesce("why", _unjudged())
    )
    return Decisions.cast(known.select(Decisions.column_names()).sort(KEYS))


def _why() -> pl.Expr:
    """The reason of an action that rejects, keeps or admits a name, with the distance to what was asked."""
    before, limit, detail = pl.col("before"), pl.col("limit"), pl.col("detail")
    place = _place(before, limit)
    reasons = {
        "data_gate": pl.format("excluded by the data gate: {}", detail),
        "not_tradable": pl.lit("not tradable"),
        "no_score": pl.lit("no signal at all, so no score"),
        "no_volatility": pl.lit("no volatility above 0, which sizing divides by"),
        "no_proposed_weight": pl.lit("no proposed weight"),
        "min_score_threshold": _below("holding", before, limit),
        "min_score_new_position": _below("entry", before, limit),
        "max_positions_per_bucket": pl.format("{} in its bucket {}", place, "bucket"),
        "max_total_positions": pl.format("{} position{}", place, plural(limit)),
        "max_new_positions": pl.format("{} new position{}", place, plural(limit)),
        "long_short": pl.format("{} on its side", place),
        "no_room": pl.lit("selected, but its share is 0, or fixed names and limits leave it no room"),
        "fixed": pl.format("kept at its weight: {}", detail),
    }
    rule, verb = pl.col("rule"), pl.col("verb")
    slot = (
        pl.when(verb == "admit").then(pl.format("selected, for bucket {} has no other name", "bucket"))
        .otherwise(pl.lit("its slot goes to a bucket that nothing else represents"))
    )  # fmt: skip
    return pl.coalesce(
        pl.when(rule == "min_buckets_represented").then(slot),
        *(pl.when(rule == name).then(reason) for name, reason in reasons.items()),
    )


def _below(threshold: str, score: pl.Expr, limit: pl.Expr) -> pl.Expr:
    """For example `score 0.61 below the entry threshold 0.65 by 0.04`; a near miss is told in full."""
    near = limit - score < 1e-4
    told = pl.when(near).then(score).otherwise(score.round(4))
    short = pl.when(near).then((limit - score).round_sig_figs(3)).otherwise((limit - score).round(4))
    return pl.format(f"score {{}} below the {threshold} threshold {{}} by {{}}", told, limit, short)


def _unjudged() -> pl.Expr:
    """Names that no action concerns: kept or selected, or rejected by a rule that left no action."""
    score = pl.col("score").round(4)
    kept = pl.format("kept with score {}", score)
    kind = pl.when(pl.col("side") < 0).then(pl.lit("short")).otherwise(pl.lit("name"))
    new = pl.format("selected as a new {} with score {}", kind, score)
    chosen = pl.when(pl.col("held")).then(kept).otherwise(new)
    return pl.coalesce(pl.format("rejected by {}", "rejected_by"), chosen, pl.lit("selected without a score"))


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _place(number: pl.Expr, limit: pl.Expr) -> pl.Expr:
    """For example `third of two`; in digits where the place is above ten."""
    place, slots = number.cast(pl.Int64), limit.cast(pl.Int64)
    last = pl.when(place % 100 // 10 == 1).then(0).otherwise(place % 10)
    ending = last.replace_strict({1: "st", 2: "nd", 3: "rd"}, default="th", return_dtype=pl.String)
    ordinal = place.replace_strict(dict(enumerate(ORDINALS, start=1)), default=None, return_dtype=pl.String)
    cardinal = slots.replace_strict(dict(enumerate(NUMBERS)), default=slots.cast(pl.String), return_dtype=pl.String)
    return pl.coalesce(pl.format("{} of {}", ordinal, cardinal), pl.format("{}{} of {}", place, ending, slots))
