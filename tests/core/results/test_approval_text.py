"""The form that a person is shown, in its words."""

import datetime as dt

import pytest

from core.approval import Question
from core.results.approval_text import form
from tests.core.store.samples import NOON, TODAY, target_rows


@pytest.mark.parametrize(("names", "told"), [(10, None), (11, "and 1 smaller move\n"), (12, "and 2 smaller moves\n")])
def test_the_moves_that_the_form_leaves_out_are_counted(names, told):
    targets = target_rows("core", TODAY, {f"A{number:02}": 0.02 + number / 1000 for number in range(names)})
    question = Question("core", "r1", ["turnover"], "h" * 64, targets)
    shown = form([question], TODAY, "careful", NOON + dt.timedelta(hours=4), "approval")
    assert shown.startswith("## 1 portfolio of ")
    assert (told or "|\n") in shown[-30:]
    assert ("smaller" in shown) == (told is not None)
