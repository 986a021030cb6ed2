"""What was asked, and what was said, on both databases."""

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from core.approval import Decision
from core.errors import StoreError
from core.store import approvals, publish
from core.store.approvals import Asked
from core.store.database import writing
from tests.core.store.samples import NOON, TODAY, record

UNTIL, LATER = NOON + dt.timedelta(hours=4), NOON + dt.timedelta(hours=5)
ASKED = Asked("q1", "b1", "core", TODAY, "r1", "h1", "turnover", NOON, UNTIL)
YES = Decision("approved", "ann", NOON + dt.timedelta(hours=1), "all is well")
NO = Decision("rejected", "bob", NOON + dt.timedelta(hours=2), "wait")


def decisions(engine):
    return approvals.read_approvals(engine)["decision"].to_list()


def test_a_question_is_written_down_once_and_is_open(engine):
    approvals.ask(engine, ASKED)
    approvals.ask(engine, replace(ASKED, why_asked="another"))
    assert approvals.questions_open(engine, "b1") == [ASKED]
    assert approvals.questions_open(engine, "b2") == []
    assert approvals.decision_on(engine, "r1", "h1") is None


def test_one_form_asks_about_several_portfolios_and_its_answer_is_for_all(engine):
    for portfolio in ("core", "other"):
        approvals.ask(engine, replace(ASKED, portfolio_id=portfolio, run_id=f"r {portfolio}"))
    approvals.decide(engine, "q1", YES)
    assert decisions(engine) == ["approved", "approved"]
    assert approvals.decision_on(engine, "r other", "h1") == ("q1", YES)
    assert approvals.read_approvals(engine, TODAY, "other").height == 1


def test_an_approval_is_of_one_run_and_of_one_hash(engine):
    approvals.ask(engine, ASKED, YES)
    assert approvals.decision_on(engine, "r1", "h2") is None
    assert approvals.decision_on(engine, "r2", "h1") is None
    assert approvals.decision_on(engine, "r1", "h1", "b2") is None
    assert approvals.decision_on(engine, "r1", "h1", "b1") == ("q1", YES)


def test_what_was_said_stays_said(engine):
    approvals.ask(engine, ASKED)
    approvals.decide(engine, "q1", NO)
    approvals.decide(engine, "q1", YES)
    assert approvals.decision_on(engine, "r1", "h1") == ("q1", NO)


def test_the_last_word_counts_where_two_forms_showed_the_same(engine):
    approvals.ask(engine, replace(ASKED, question_id="q2"), NO)
    approvals.ask(engine, ASKED, YES)
    assert approvals.decision_on(engine, "r1", "h1") == ("q2", NO)


def test_what_nobody_answered_in_time_is_closed_at_its_time(engine):
    approvals.ask(engine, ASKED)
    assert approvals.close_expired(engine, NOON) == []
    assert approvals.close_expired(engine, LATER) == [f"core on {TODAY}"]
    assert approvals.close_expired(engine, LATER) == []
    (row,) = approvals.read_approvals(engine).to_dicts()
    assert (row["decision"], row["decided_at"]) == ("timed out", UNTIL)


def test_of_a_day_the_questions_that_may_still_be_answered_are_known_the_last_of_each_portfolio(engine):
    again, other = replace(ASKED, question_id="q2"), replace(ASKED, portfolio_id="a", question_id="q3")
    answered, of_yesterday = (replace(ASKED, portfolio_id=name, question_id=name) for name in ("b", "y"))
    for asked in (ASKED, again, other, answered, replace(of_yesterday, as_of=TODAY - dt.timedelta(days=1))):
        approvals.ask(engine, asked)
    approvals.decide(engine, "b", NO)
    assert approvals.open_on(engine, TODAY, UNTIL) == [other, again]
    assert approvals.open_on(engine, TODAY, LATER) == []


def test_an_answer_in_time_that_is_heard_late_still_counts(engine):
    approvals.ask(engine, ASKED)
    approvals.close_expired(engine, LATER)
    assert approvals.questions_open(engine, "b1") == [ASKED]
    approvals.decide(engine, "q1", YES)
    assert decisions(engine) == ["approved"]


def test_the_batch_that_published_a_run_is_known_and_a_refusal_is_no_publication(engine, root):
    assert approvals.published_by(engine, "r1") is None
    publish(engine, root, record("r1"), NOON)
    publish(engine, root, record("r2", reason="rejected by ann"), NOON)
    assert approvals.published_by(engine, "r1") == "b1"
    assert approvals.published_by(engine, "r2") is None


def test_a_decision_that_nobody_knows_is_refused(engine):
    with pytest.raises(StoreError, match="ck_approvals_decision"), writing(engine, "test") as connection:
        connection.execute(
            sa.text(
                "INSERT INTO approvals (question_id, flow_run_id, portfolio_id, as_of, run_id, shown_hash, why_asked, "
                "asked_at, until, decision) VALUES ('q', 'b', 'p', '2026-07-31', 'r', 'h', 'w', '2026-07-31', "
                "'2026-07-31', 'perhaps')"
            )
        )
