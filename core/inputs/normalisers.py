"""Normalisers make signals comparable: any finite numbers in, values from 0 to 1 out, a larger one never the worse.

`rank` is the average rank over the count, `minmax` the place between the lowest and the highest, `zscore` the normal
distribution function of the standard score, `none` takes values that are from 0 to 1 already.
"""

from collections.abc import Callable, Mapping, Sequence
from math import erfc, sqrt
from types import MappingProxyType
from typing import Literal

import polars as pl

from core.arithmetic import ordered_mean, ratio

Normaliser = Literal["rank", "minmax", "zscore", "none"]
Keys = str | Sequence[str]


def normalised(signal: pl.Expr, method: Normaliser, by: Keys, *, higher_is_better: bool = True) -> pl.Expr:
    """A signal on the scale from 0 to 1 within each group of `by`.

    Null stays null and takes no part. A cross-section that says nothing (all values equal, or one alone) is null,
    except with `none`, where each value stands for itself and one outside [0, 1] is null. Values must be finite.
    """
    if method == "none":
        within = pl.when(signal.is_between(0.0, 1.0)).then(signal)
        return within if higher_is_better else 1.0 - within
    ascending = signal if higher_is_better else -signal
    speaks = ascending.min().over(by) < ascending.max().over(by)
    return pl.when(speaks).then(SCALES[method](ascending, by))


def _rank(signal: pl.Expr, by: Keys) -> pl.Expr:
    return ratio(signal.rank("average"), signal.count()).over(by)


def _minmax(signal: pl.Expr, by: Keys) -> pl.Expr:
    scaled = _scaled(signal)
    place = ratio(scaled - scaled.min(), scaled.max() - scaled.min())
    return place.clip(0.0, 1.0).over(by).fill_nan(None)  # a division by one number may round to just above 1


def _zscore(signal: pl.Expr, by: Keys) -> pl.Expr:
    scaled = _scaled(signal)
    deviation = scaled - ordered_mean(scaled)
    score = ratio(deviation, ordered_mean(deviation**2).sqrt()).over(by).fill_nan(None)
    return score.map_batches(_normal_distribution, return_dtype=pl.Float64, is_elementwise=True)


def _scaled(signal: pl.Expr) -> pl.Expr:
    """Keeps sums and squares of huge and tiny values in range; values that differ by rounding alone become equal."""
    return ratio(signal, signal.abs().max())


def _normal_distribution(scores: pl.Series) -> pl.Series:
    """Φ(z) = erfc(-z / √2) / 2, to double precision, which Polars has no function for."""
    return pl.Series([None if z is None else 0.5 * erfc(-z / sqrt(2.0)) for z in scores.to_list()], dtype=pl.Float64)


SCALES: Mapping[str, Callable[[pl.Expr, Keys], pl.Expr]] = MappingProxyType(
    {"rank": _rank, "minmax": _minmax, "zscore": _zscore}
)
NORMALISERS: tuple[str, ...] = (*SCALES, "none")
