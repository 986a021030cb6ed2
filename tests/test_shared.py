"""What processes share is made by the first and ended after the last, here by turns of one process."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.shared import shared


def test_the_first_makes_it_and_ends_it_when_the_others_have_done(tmp_path):
    happened = []

    @contextmanager
    def made():
        happened.append("made")
        yield ["address", len(happened)]
        happened.append("ended")

    def user():
        stack = ExitStack()
        return stack, stack.enter_context(shared(tmp_path / "file", made()))

    (first, new), (second, known) = user(), user()
    assert known == new == ["address", 1]
    with ThreadPoolExecutor() as pool:
        leaving = pool.submit(first.close)
        with pytest.raises(TimeoutError):
            leaving.result(timeout=0.2)
        assert happened == ["made"]
        second.close()
        leaving.result(timeout=60)
    assert happened == ["made", "ended"]
    third, anew = user()
    assert anew == ["address", 3]
    third.close()
