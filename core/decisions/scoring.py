"""Scoring: the signals of a name, made comparable and combined into one score.

`scored` normalises each signal over the universe of its run (`_comparable`), combines what is present as `Σ weight ·
signal / Σ weight` (`_combined`), gives held names their bonus, and says in words what went in. With `two_sided` the
better half of the names is considered long and the other half short, with mirrored scores, `1 - score`.
"""

from collections.abc import Sequence

import polars as pl

from core.arithmetic import ratio
from core.inputs import SignalConfig, normalised
from core.limits import TOLERANCE
from core.schemas import KEYS, RUN_KEYS, Scored

HELD_BONUS = 1.02  # a held name's score counts so many times, never above 1
CONFIDENCE = 0.8
CONFIDENCE_WITH_GAPS = 0.6  # where a signal is missing

COMPARED = pl.col("tradable") & (pl.col("held") | pl.col("excluded").is_null())
"""The names that the cross-section of a signal consists of."""


def scored(
    universe: pl.DataFrame, signal_values: pl.DataFrame, signals: Sequence[SignalConfig], *, two_sided: bool = False
) -> pl.DataFrame:
    """The universe with score, confidence and reason; schema `Scored` with `fixed` not yet decided.

    `signal_values`: one row per (symbol, signal) with `value`; no row is a missing signal.
    """
    names = [signal.name for signal in signals]
    raw = _pivoted(signal_values, names)
    rows = universe.join(raw, on="symbol", how="left", maintain_order="left").with_columns(compared=COMPARED)
    rows = rows.with_columns(_comparable(signal).alias(f"signal {signal.name}") for signal in signals)
    rows = rows.with_columns(
        score=_combined(signals),
        confidence=_confidence(signals),
        reason=_reason(signals),
        side=pl.lit(1, pl.Int8),
        fixed=False,
        proposed_weight=pl.lit(None, pl.Float64),
        volatility=pl.lit(None, pl.Float64),
    )
    if two_sided:
        rows = mirrored(rows, pl.col("compared"))
    rows = rows.with_columns(score=_with_bonus(), reason=pl.concat_str("reason", _changes_in_words()))
    return Scored.cast(rows.select(Scored.column_names()).sort(KEYS))


def with_sizing_input(rows: pl.DataFrame, signal_values: pl.DataFrame, column: str, signal: str) -> pl.DataFrame:
    """`rows` with the raw values of one signal in `column`, for a sizing that reads them; a volatility must be
    positive."""
    usable = pl.col("value") > 0 if column == "volatility" else pl.lit(True)
    wanted = signal_values.filter(pl.col("signal") == signal, usable).select("symbol", pl.col("value").alias(column))
    return rows.drop(column).join(wanted, on="symbol", how="left", maintain_order="left").select(rows.columns)


def on_proposed_side(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with each name considered on the side of its proposed weight."""
    return rows.with_columns(side=pl.when(pl.col("proposed_weight") < 0).then(-1).otherwise(1).cast(pl.Int8))


def _pivoted(signal_values: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """One row per symbol, one column `raw NAME` per signal."""
    wide = signal_values.select("symbol").unique()
    for name in names:
        column = signal_values.filter(signal=name).select("symbol", pl.col("value").alias(f"raw {name}"))
        wide = wide.join(column, on="symbol", how="left")
    return wide


def _comparable(signal: SignalConfig) -> pl.Expr:
    value = pl.when("compared").then(pl.col(f"raw {signal.name}"))
    return normalised(value, signal.normaliser, RUN_KEYS, higher_is_better=signal.higher_is_better)


def _combined(signals: Sequence[SignalConfig]) -> pl.Expr:
    """`Σ weight · signal / Σ weight` over the signals present; null where none is."""
    columns = [(pl.col(f"signal {signal.name}"), signal.weight) for signal in signals]
    weighted = pl.sum_horizontal([(column * weight).fill_null(0.0) for column, weight in columns])
    present = pl.sum_horizontal([column.is_not_null() * pl.lit(weight) for column, weight in columns])
    return pl.when(present > 0).then(ratio(weighted, present))


def _confidence(signals: Sequence[SignalConfig]) -> pl.Expr:
    columns = [pl.col(f"signal {signal.name}") for signal in signals]
    complete = pl.all_horizontal([column.is_not_null() for column in columns])
    none = pl.all_horizontal([column.is_null() for column in columns])
    return pl.when(complete).then(CONFIDENCE).when(~none).then(CONFIDENCE_WITH_GAPS)


def _reason(signals: Sequence[SignalConfig]) -> pl.Expr:
    """For example `technical 0.8200 x 0.6, fundamental missing`."""
    parts = [
        pl.when(value.is_null())
        .then(pl.lit(f"{signal.name} missing"))
        .otherwise(pl.format("{} {} x {}", pl.lit(signal.name), value.round(4), pl.lit(f"{signal.weight:g}")))
        for signal in signals
        for value in [pl.col(f"signal {signal.name}")]
    ]
    return pl.concat_str(parts, separator=", ")


def mirrored(rows: pl.DataFrame, compared: pl.Expr) -> pl.DataFrame:
    """The lower half of the scored names that are compared, ties by name, is considered short, with mirrored scores.

    Other holdings keep their side.
    """
    in_line = pl.col("score").is_not_null() & compared
    ordered = rows.sort(*RUN_KEYS, "score", "symbol", descending=[False, False, True, False], nulls_last=True)
    place = in_line.cum_sum().over(RUN_KEYS)
    half = (in_line.sum().over(RUN_KEYS) + 1) // 2
    stuck_short = ~in_line & (pl.col("current_weight") < -TOLERANCE)
    side = pl.when(stuck_short | (in_line & (place > half))).then(-1).otherwise(1).cast(pl.Int8)
    conviction = pl.when(pl.col("side") < 0).then(1.0 - pl.col("score")).otherwise("score")
    return ordered.with_columns(side=side).with_columns(score=conviction)


def _has_bonus() -> pl.Expr:
    """Whether a name with a score is held, on the side on which it is considered."""
    return pl.col("score").is_not_null() & pl.col("held") & (pl.col("current_weight") * pl.col("side") >= 0)


def _with_bonus() -> pl.Expr:
    bonus = pl.min_horizontal(pl.col("score") * HELD_BONUS, 1.0)
    return pl.when(_has_bonus()).then(bonus).otherwise("score")


def _changes_in_words() -> pl.Expr:
    """What was done to the weighted mean of the signals, as the end of a sentence."""
    short = pl.col("score").is_not_null() & (pl.col("side") < 0)
    mirrored_score = pl.when(short).then(pl.lit(", 1 less their mean as it is considered short"))
    bonus = pl.when(_has_bonus()).then(pl.lit(f", x {HELD_BONUS:g} as it is held"))
    return pl.concat_str(mirrored_score.fill_null(""), bonus.fill_null(""))
