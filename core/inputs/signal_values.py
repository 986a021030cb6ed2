"""The values of the configured signals, one row per symbol and signal.

`signal_values` looks up those of the table, computes those of prices over their `_windows`, and calls those of one's
own (`_of_function`). What is missing has no row, and a finding says why: too few prices, a bad price or a jump among
them (`_windows`), a value outside [0, 1] that no normaliser brings there (`_inside`), or no value for any name at all
(`_absent`), which stops the batch: a signal that is silently not there would shift every score.
"""

from collections.abc import Callable, Sequence
from importlib import import_module

import polars as pl

from core.errors import ConfigurationError, InputError, nearest_hint
from core.inputs.config import GateConfig
from core.inputs.findings import finding, found, joined, sentence, summarised
from core.inputs.gate import Gated
from core.inputs.prices import EXPLAIN_JUMP
from core.inputs.signals import FunctionSignal, PriceSignal, QuerySignal, Signal, TableSignal
from core.schemas import Severity
from core.wording import counted

VALUES = {"symbol": pl.String, "signal": pl.String, "value": pl.Float64}
MOST_SHORT = 1  # young names are many and known; one line per signal tells them


def signal_values(gated: Gated, signals: Sequence[Signal]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Values before any normaliser (symbol, signal, value: finite) of held names and candidates, and findings.

    Raises `InputError` where a function of one's own fails or returns what it must not.
    """
    if not gated.stops_batch.is_empty():
        return pl.DataFrame(schema=VALUES), joined([])
    considered = pl.concat([gated.candidates["symbol"], gated.holdings["symbol"]]).unique()
    history = gated.history.filter(pl.col("symbol").is_in(considered.implode()))
    values, findings = [pl.DataFrame(schema=VALUES)], []
    for signal in signals:
        rows, missing = _values(gated, history, signal)
        kept, outside = _inside(rows, signal)
        values.append(kept.select("symbol", pl.lit(signal.name).alias("signal"), "value").sort("symbol"))
        findings += [missing, outside, _absent(gated, signal, kept)]
    return pl.concat(values), summarised(joined(findings))


def _values(gated: Gated, history: pl.DataFrame, signal: Signal) -> tuple[pl.DataFrame, pl.DataFrame]:
    match signal:
        case PriceSignal():
            rows, missing = _windows(history, signal, signal.observations, signal.skipped)
            computed = rows.group_by("symbol", maintain_order=True).agg(value=signal.formula(pl.col("close")))
            return computed, missing
        case FunctionSignal():
            rows, missing = _windows(history, signal, signal.lookback, 0)
            return _of_function(signal, rows.select("as_of", "symbol", "close")), missing
    return gated.signals.filter(pl.col("signal") == _table_name(signal)), joined([])


def _table_name(signal: Signal) -> str:
    return (signal.source if isinstance(signal, TableSignal) else None) or signal.name


def _windows(
    history: pl.DataFrame, signal: Signal, observations: int, skipped: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of each symbol's window, for the symbols where it is whole; findings on the others.

    The window begins `observations` rows before the end and leaves the last `skipped` out.
    """
    from_end = pl.int_range(pl.len(), 0, -1).over("symbol")
    within = from_end.is_between(skipped + 1, observations)
    rows = history.lazy().filter(within).collect(engine="in-memory")
    windows = rows.group_by("symbol", maintain_order=True).agg(
        prices=pl.len(),
        bad=pl.col("close").null_count(),
        jumped=pl.col("as_of").slice(1).filter(pl.col("jump").slice(1)).last(),
    )
    judged = (
        history.select("symbol")
        .unique()
        .join(windows, on="symbol", how="left")
        .with_columns(signal=pl.lit(signal.name))
    )
    short = pl.col("prices").fill_null(0) < observations - skipped
    broken = (pl.col("bad") > 0) | pl.col("jumped").is_not_null()
    whole = judged.filter(~short & ~broken)
    findings = [_short(judged.filter(short), observations), _broken(judged.filter(~short & broken))]
    return rows.join(whole, on="symbol", how="semi", maintain_order="left"), joined(findings)


def _short(rows: pl.DataFrame, observations: int) -> pl.DataFrame:
    why = sentence(f"fewer than the {observations} prices it needs are known")
    return summarised(_missing(rows, "short_history", why, "Load more prices, or wait until there are."), MOST_SHORT)


def _broken(rows: pl.DataFrame) -> pl.DataFrame:
    jump = pl.when(pl.col("jumped").is_not_null()).then(sentence("its price jumps on {}", "jumped"))
    why = pl.coalesce(jump, pl.lit("a price in its window is bad"))
    return _missing(rows, "broken_history", why, f"{EXPLAIN_JUMP} for all.")


def _missing(rows: pl.DataFrame, code: str, why: pl.Expr, remedy: str, frame: str = "prices") -> pl.DataFrame:
    return found(
        rows,
        Severity.WARN,
        code,
        frame=frame,
        column=pl.col("signal"),
        row=sentence("{} {}", "symbol", "signal"),
        message=sentence("signal {} of {} is missing: {}.", "signal", "symbol", why),
        remedy=remedy,
    )


def _inside(rows: pl.DataFrame, signal: Signal) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The finite values, with normaliser `none` those from 0 to 1; findings on the others."""
    named = rows.drop_nulls("value").select("symbol", "value", signal=pl.lit(signal.name))
    fine = pl.col("value").is_finite()
    if signal.normaliser == "none":
        fine &= pl.col("value").is_between(0.0, 1.0)
    why = sentence("its value {} is not from 0 to 1" if signal.normaliser == "none" else "its value is {}", "value")
    remedy = "Correct the signal, or choose a normaliser that brings it between 0 and 1."
    return named.filter(fine), _missing(named.filter(~fine), "signal_out_of_range", why, remedy, "signals")


def _absent(gated: Gated, signal: Signal, values: pl.DataFrame) -> pl.DataFrame:
    if not values.is_empty():
        return joined([])
    looked_up = isinstance(signal, TableSignal | QuerySignal)
    hint = (
        f" Looked up as {_table_name(signal)!r}; {nearest_hint(_table_name(signal), gated.signals['signal'].unique())}"
    )
    return finding(
        Severity.STOP_BATCH,
        "absent_signal",
        frame="signals",
        message=f"signal {signal.name} has no value for any name that is considered.{hint if looked_up else ''}",
        remedy="Load it, correct its name in the policy, or take it out of the policy.",
        row=signal.name,
    )


def _of_function(signal: FunctionSignal, history: pl.DataFrame) -> pl.DataFrame:
    """What a function of one's own returns, checked against its contract."""
    name = f"signal {signal.name}: function {signal.function}"
    function = _imported(signal)
    try:
        returned = function(history)
    except Exception as error:
        raise InputError(f"{name} raised {type(error).__name__}: {error}. Correct the function.") from error
    if not isinstance(returned, pl.DataFrame) or not {"symbol", "value"} <= set(returned.columns):
        what = returned.columns if isinstance(returned, pl.DataFrame) else type(returned).__name__
        raise InputError(f"{name} returned {what}: it must return a frame with the columns symbol and value.")
    if returned["symbol"].dtype != pl.String or not returned["value"].dtype.is_numeric():
        raise InputError(f"{name} returned the types {dict(returned.schema)}: symbol must be text, value a number.")
    rows = returned.select("symbol", pl.col("value").cast(pl.Float64))
    _require_none(name, "without a symbol", rows.filter(pl.col("symbol").is_null()))
    _require_none(name, "that are there more than once", rows.filter(pl.col("symbol").is_duplicated()))
    _require_none(name, "whose symbol it was not given", rows.join(history, on="symbol", how="anti"))
    _require_none(name, "whose value is not finite", rows.filter(~pl.col("value").is_finite()))
    return rows


def _require_none(name: str, what: str, rows: pl.DataFrame) -> None:
    if not rows.is_empty():
        first = ", ".join(f"{symbol} {value}" for symbol, value in rows.sort("symbol").head(5).rows())
        raise InputError(f"{name} returned {counted(rows.height, 'row')} {what}: {first}. Correct the function.")


def _imported(signal: FunctionSignal) -> Callable[[pl.DataFrame], object]:
    module_name, _, function_name = signal.function.partition(":")
    try:
        function: Callable[[pl.DataFrame], object] = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"function {signal.function} of signal {signal.name} cannot be imported ({error}): "
            "name it as package.module:function and run from the folder that holds the package."
        ) from error
    if not callable(function):
        raise ConfigurationError(f"{signal.function} of signal {signal.name} is not a function.")
    return function


def judge_coverage(values: pl.DataFrame, candidates: pl.DataFrame, config: GateConfig) -> pl.DataFrame:
    """A finding that stops the batch where too large a share of the candidates has no signal at all.

    `candidates`: see `Gated`. Those that are not tradable do not count; those that the gate excludes, for lack of a
    price for example, count as having none: a feed that fails for most names must not be taken for a small universe.
    """
    counted = candidates.filter(pl.col("tradable").fill_null(True))
    usable = counted.filter(pl.col("excluded").is_null()).join(values, on="symbol", how="semi")
    without = counted.height - usable.height
    if without <= config.max_share_without_score * counted.height:
        return joined([])
    return finding(
        Severity.STOP_BATCH,
        "low_coverage",
        frame="signals",
        message=f"{without} of {counted.height} candidates have no signal or are excluded; "
        f"the limit is {config.max_share_without_score:.0%} (max_share_without_score).",
        remedy="Load the missing signals and prices, or name in candidates the assets that are meant.",
    )
