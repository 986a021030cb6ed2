from time import sleep

import pytest

from core.timing import added, stopwatch, timed

SHORT = 0.02  # seconds


@timed("inner")
def inner():
    sleep(SHORT)


@timed("outer")
def outer(times):
    sleep(SHORT)
    for _ in range(times):
        inner()
    return "done"


def test_a_step_within_a_step_counts_for_itself_only():
    with stopwatch() as seconds:
        assert outer(3) == "done"
        inner()
    assert [*seconds] == ["inner", "outer"]
    assert seconds["inner"] == pytest.approx(4 * SHORT, rel=0.5)
    assert seconds["outer"] == pytest.approx(SHORT, rel=0.5)


def test_a_step_that_fails_has_taken_its_time():
    @timed("failing")
    def failing():
        outer(1)
        raise ValueError("once")

    with stopwatch() as seconds, pytest.raises(ValueError, match="once"):
        failing()
    assert [*seconds] == ["inner", "outer", "failing"]


def test_who_holds_no_stopwatch_is_not_told():
    with stopwatch() as seconds, stopwatch() as within:
        inner()
    inner()
    assert ([*seconds], [*within]) == ([], ["inner"])


def test_seconds_add_up_by_step():
    assert added({"a": 1.0, "b": 2.0}, {}, {"b": 0.5, "c": 4.0}) == {"a": 1.0, "b": 2.5, "c": 4.0}
