"""The form that a person is shown, in its words."""

import datetime as dt
from dataclasses import replace

import pytest

from core.approval import Question
from core.results.approval_text import ROWS, form, proposal
from core.results.report import SHOWN, Outcome
from tests.core.results.test_summary import report
from tests.core.store.samples import NOON, TODAY, target_rows


def asking(questions, outcomes=()):
    return replace(report([*outcomes]), as_of=TODAY, questions=questions)


def test_who_is_asked_is_told_what_is_not_published_whatever_the_answer():
    question = Question("core", "r1", ["turnover"], "h" * 64, target_rows("core", TODAY, {"AAA": 0.25}))
    refused = [Outcome(f"p{number}", "refused", f"reason {number}.") for number in range(7)]
    shown = form(asking([question], [*refused, Outcome("q", "published")]), NOON, "approval")
    assert "### Not published, whatever is answered\n\n- **p0**: reason 0.\n" in shown
    assert shown.endswith("- and 2 more, in the summary\n")
    assert "Not published, whatever" not in form(asking([question]), NOON, "approval")


@pytest.mark.parametrize(("names", "told"), [(10, None), (11, "and 1 smaller move\n"), (12, "and 2 smaller moves\n")])
def test_the_moves_that_the_form_leaves_out_are_counted(names, told):
    targets = target_rows("core", TODAY, {f"A{number:02}": 0.02 + number / 1000 for number in range(names)})
    question = Question("core", "r1", ["turnover"], "h" * 64, targets)
    shown = form(asking([question]), NOON + dt.timedelta(hours=4), "approval")
    assert shown.startswith("## 1 portfolio of ")
    assert (told or "|\n") in shown[-30:]
    assert ("smaller" in shown) == (told is not None)


def test_a_form_says_what_a_portfolio_amounts_to_and_how_its_names_move():
    question = Question("core", "r1", ["turnover"], "h" * 64, target_rows("core", TODAY, {"AAA": 0.25, "BBB": 0.5}))
    shown = form(asking([question]), NOON + dt.timedelta(hours=4), "approval")
    assert "Turnover 37.50 %, 2 names (2 opened, 0 closed), gross 75.00 %, net 75.00 %, cash 25.00 %." in shown
    assert "| symbol | action | current % | target % | trade % |" in shown
    assert "| BBB | open | 0.00 | 50.00 | +50.00 |\n| AAA | open | 0.00 | 25.00 | +25.00 |" in shown


def test_a_proposal_shows_the_largest_trades_and_counts_what_it_leaves_out():
    weights = {f"A{number:04}": 0.0001 * (number + 1) / ROWS for number in range(ROWS + 100)}
    many = Question("core", "r1", ["turnover"], "h" * 64, target_rows("core", TODAY, weights))
    shown = proposal([many], TODAY)
    assert f"| A{ROWS + 99:04} |" in shown
    assert "| A0000 |" not in shown
    assert f"The {ROWS} largest trades of {ROWS + 101} rows; for every target: `evenkeel run --dry-run --json`" in shown
    few = Question("core", "r1", ["turnover"], "h" * 64, target_rows("core", TODAY, {"AAA": 0.25}))
    assert "largest trades" not in proposal([few], TODAY)


def test_portfolios_for_which_a_page_has_no_room_are_counted():
    one = target_rows("core", TODAY, {"AAA": 0.25})
    questions = [Question(f"p{number:03}", f"r{number}", ["turnover"], "h" * 64, one) for number in range(SHOWN + 30)]
    for shown in (proposal(questions, TODAY), form(asking(questions), NOON, "approval")):
        assert "And 30 more, not shown here: p020, p021" in shown
        assert "p039 and 10 more. The hash of the form is that of all of them; for every target: " in shown
