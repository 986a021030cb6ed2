"""How long each step of a batch takes.

A function that is `timed` under the name of a step adds its time to whoever holds a `stopwatch` around it; nobody does,
and it costs nothing. A step within a step counts for itself only, so that the times of all steps add up.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from time import perf_counter
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class _Watch:
    seconds: dict[str, float] = field(default_factory=dict)
    inner: float = 0.0  # of the steps within the one that is running


_held: ContextVar[_Watch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def stopwatch() -> Iterator[Mapping[str, float]]:
    """The seconds of each timed step within the block, by its name, in the order in which they first ended."""
    watch = _Watch()
    token = _held.set(watch)
    try:
        yield watch.seconds
    finally:
        _held.reset(token)


def timed(step: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a function's time count for a step."""

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            watch = _held.get()
            if watch is None:
                return function(*args, **kwargs)
            start, around, watch.inner = perf_counter(), watch.inner, 0.0
            try:
                return function(*args, **kwargs)
            finally:
                took = perf_counter() - start
                watch.seconds[step] = watch.seconds.get(step, 0.0) + took - watch.inner
                watch.inner = around + took

        return measured

    return decorated


def added(*parts: Mapping[str, float]) -> dict[str, float]:
    """The seconds of each step over all parts."""
    steps = dict.fromkeys(step for part in parts for step in part)
    return {step: sum(part.get(step, 0.0) for part in parts) for step in steps}
