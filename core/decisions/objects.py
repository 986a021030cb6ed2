"""What people hand in as objects, judged before it becomes rows: no guess, no foreign exception.

`require_usable` is for a list of assets, `finite` for a number, `require_name` for a symbol, `require_kind` for an
argument as a whole. Each raises `InputError` with what was given and what to give instead.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from math import isfinite, isnan
from numbers import Real
from typing import Any

from core.errors import InputError
from core.models import AssetScore
from core.schemas import CASH_SYMBOL, AssetPriority

SHOWN = 80  # characters of what was given


def require_usable(asset_scores: Sequence[AssetScore]) -> None:
    """Every entry is an asset by a name of its own, given once; its numbers are finite. A score may be NaN: none."""
    require_kind("the assets", asset_scores, Iterable, "a list of AssetScore")
    seen: set[str] = set()
    for asset_score in asset_scores:
        require_kind("an asset", asset_score, AssetScore, "an AssetScore")
        name = asset_score.asset
        require_name("the name of an asset", name)
        if name in seen:
            raise InputError(f"asset {shown(name)} is given twice: give each asset once.")
        seen.add(name)
        require_kind(f"the priority of {shown(name)}", asset_score.priority, AssetPriority, "an AssetPriority")
        require_kind(f"the scoring_reason of {shown(name)}", asset_score.scoring_reason, str, "a text, empty for none")
        _require_numbers(name, asset_score)


def _require_numbers(name: str, asset_score: AssetScore) -> None:
    fraction = "a finite fraction, 0.05 for 5 %, or None where it is not decided"
    _require_finite(f"the weight of {shown(name)}", asset_score.position_size_percentage, fraction)
    _require_finite(f"the previous_allocation of {shown(name)}", asset_score.previous_allocation, fraction)
    _require_finite(f"the confidence of {shown(name)}", asset_score.confidence, "a finite number, or None")
    if not _is_nan(asset_score.combined_score):
        _require_finite(f"the score of {shown(name)}", asset_score.combined_score, "a finite number, or None")


def _require_finite(told: str, given: Any, remedy: str) -> None:
    if given is not None:
        finite(told, given, remedy)


def finite(told: str, given: Any, remedy: str) -> float:
    """A number as a float; raises `InputError` for what is no number, a truth, or not finite."""
    number = _as_float(given) if isinstance(given, Real) and not isinstance(given, bool) else None
    if number is None or not isfinite(number):
        raise InputError(f"{told} is {shown(given)}: give {remedy}.")
    return number


def _as_float(given: Real) -> float | None:
    try:
        return float(given)
    except OverflowError:  # a whole number beyond 1e308
        return None


def _is_nan(given: Any) -> bool:
    return isinstance(given, Real) and not isinstance(given, bool | int) and isnan(given)


def require_name(told: str, given: Any) -> None:
    """A name is a text that is not empty, that can be written as UTF-8, and that is not that of the cash row."""
    if not isinstance(given, str) or not given or given == CASH_SYMBOL or _is_broken(given):
        raise InputError(f"{told} is {shown(given)}: give a text, not empty, and not {CASH_SYMBOL}.")


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return True
    return False


def require_day(told: str, given: Any) -> None:
    """A day is a date without a time: of a time, the day would depend on the zone."""
    if not isinstance(given, dt.date) or isinstance(given, dt.datetime):
        raise InputError(f"{told} is {shown(given)}: give a date without a time, such as datetime.date(2026, 11, 20).")


def require_kind(told: str, given: Any, kind: type | tuple[type, ...], meant: str) -> None:
    """An argument is of its kind; a text is never a list of names, nor bytes."""
    if not isinstance(given, kind) or (isinstance(given, str | bytes) and kind is Iterable):
        raise InputError(f"{told}: {shown(given)} is {type(given).__name__}; give {meant}.")


def shown(given: Any) -> str:
    """What was given, in so many characters that it can be read; a text as it is, where that can be printed."""
    text = given if isinstance(given, str) and given.isprintable() and given.strip() == given != "" else ascii(given)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
