"""Which runs are published, wait or are refused, as far as persons have a say: the batch without Prefect."""

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest
import sqlalchemy as sa

from core import Policy, batch, consent, engine, store
from core.approval import Approval, ApprovalRules, Decision
from core.reproduce import verification
from core.store import approvals

AS_OF = dt.date(2026, 11, 20)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
POLICY = Policy(name="careful", approval=ApprovalRules(max_turnover=0.4))  # `concentrated` trades more than that
BOB = Approval(who="bob", reason="told on the phone")
YES, NO = (Decision(said, "ann", NOON, "so it is") for said in ("approved", "rejected"))


@pytest.fixture
def database(a_demo_database):
    return store.engine_from_url(a_demo_database)


@pytest.fixture
def run(database, tmp_path):
    """Run a batch, which asks in a form of its own; `form=None`: there is nobody to ask."""

    def run(batch_id, form="", approval=None, portfolios=("concentrated",), fresh=True, policy=POLICY):
        question_id = None if form is None else form or f"form of {batch_id}"
        occasion = batch.Occasion(policy, AS_OF, batch_id, NOON, question_id=question_id, approval=approval)
        parts = batch.read(database, tmp_path, policy, AS_OF, portfolios, fresh=fresh, batch_id=batch_id)
        done = [published(database, tmp_path, batch.judged(part, policy), occasion) for part in parts]
        return batch.joined(batch.opened(occasion), done)

    return run


def published(database, root, facts, occasion):
    universe = engine.considered_universe(facts.gated, occasion.policy)
    plan = engine.decided(universe, facts.signal_values, facts.gated.nav, occasion.policy)
    return batch.published(database, root, plan, facts, occasion, lambda: NOON)


def only(report):
    (outcome,) = report.outcomes
    return outcome


def say(database, batch_id, decision):
    approvals.decide(database, f"form of {batch_id}", decision)


def test_only_what_asks_waits_and_has_no_targets(database, run):
    report = run("first", portfolios=None)
    assert {told.portfolio_id: told.outcome for told in report.outcomes} == {
        "balanced": "published",
        "concentrated": "waiting",
        "newcomer": "published",
    }
    assert set(report.targets["portfolio_id"]) == {"balanced", "newcomer"}
    assert [question.portfolio_id for question in report.questions] == ["concentrated"]
    assert set(store.read_current(database)["portfolio_id"]) == {"balanced", "newcomer"}
    (waiting,) = store.read_runs(database, portfolio_id="concentrated")["run_id"]
    assert store.run_rows(database, "targets", waiting).is_empty()
    assert store.run_rows(database, "explanations", waiting).is_empty()
    decided = store.run_rows(database, "decisions", waiting)["target_weight"]
    assert decided.null_count() == decided.len() > 0


def test_a_policy_that_asks_for_nothing_publishes_everything(run):
    assert only(run("first", policy=Policy(name="plain"))).outcome == "published"


def test_what_waits_is_refused_until_somebody_approves(database, run):
    run("first")
    (refused,) = store.read_runs(database).to_dicts()
    assert refused["status"] == "refused"
    assert refused["reason"].startswith("refused unless a person approves within 4 hours of 2026-11-20 12:00 UTC: ")
    say(database, "first", YES)
    told = only(run("first"))
    assert (told.outcome, told.reason) == ("published", "approved by ann: so it is")
    assert store.read_runs(database)["status"].to_list() == ["refused", "published"]


def test_a_refusal_never_stands_without_its_question(database, run, monkeypatch):
    def killed(*_):
        assert approvals.read_approvals(database).height == 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "publish_all", killed)
        with pytest.raises(KeyboardInterrupt):
            run("first")
    assert only(run("first")).outcome == "waiting"
    assert approvals.read_approvals(database).height == store.read_runs(database).height == 1


def test_a_batch_that_runs_again_asks_once(database, run):
    run("first")
    run("first")
    assert approvals.read_approvals(database).height == store.read_runs(database).height == 1


def test_what_one_form_approved_needs_no_second(run, database):
    run("first")
    say(database, "first", YES)
    assert only(run("second")).outcome == "published"
    assert only(run("third")).outcome == "unchanged"


def test_a_rejection_holds_in_its_batch_and_the_next_asks_again(run, database):
    run("first")
    say(database, "first", NO)
    for _ in range(2):
        told = only(run("first"))
        assert (told.outcome, told.reason) == ("refused", "rejected by ann: so it is.")
    second = run("second")
    assert only(second).outcome == "waiting"
    (question,) = second.questions
    assert question.why[-1] == "this very plan was rejected by ann: so it is (2026-11-20 12:00 UTC)"


def test_another_plan_than_the_approved_one_is_asked_about(run, database):
    (shown,) = run("first").questions
    say(database, "first", YES)
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE cash SET amount = amount * 2"))
    again = run("first", form="another")
    assert only(again).outcome == "waiting"
    (question,) = again.questions
    assert question.run_id != shown.run_id
    assert f"another plan than the one ({shown.shown_hash[:12]}) that was approved by ann" in question.why[-1]


def test_other_weights_of_the_same_run_are_another_plan(run, database, monkeypatch):
    run("first")
    say(database, "first", YES)
    monkeypatch.setattr(consent, "shown_hash", lambda run_id, _: f"{run_id} as another machine computes it")
    assert only(run("first", form="another")).outcome == "waiting"


def test_what_somebody_else_published_meanwhile_is_told_to_who_approves_it(run, database):
    run("first")
    assert only(run("second", approval=BOB)).outcome == "published"
    say(database, "first", YES)
    told = only(run("first"))
    assert told.outcome == "unchanged"
    assert told.reason == "approved by ann: so it is; batch second has published it already"


def test_a_rejection_that_comes_too_late_is_told_as_such(run, database):
    run("first")
    run("second", approval=BOB)
    say(database, "first", NO)
    told = only(run("first"))
    assert told.outcome == "refused"
    assert told.reason == (
        "rejected by ann: so it is. It is published all the same, by batch second, to which somebody agreed."
    )


def test_refusals_for_want_of_approval_are_verified_as_what_they_are(run, database, tmp_path):
    run("alone", form=None)
    run("first")
    say(database, "first", NO)
    run("first")
    refused = store.read_runs(database)
    assert refused["status"].to_list() == ["refused"] * 3
    assert set(verification(database, tmp_path, refused)["verdict"]) == {"verified"}
    forged = refused.head(1).with_columns(batch_id=pl.lit("another"))
    assert "differs" in verification(database, tmp_path, forged)["verdict"].to_list()


def test_where_nobody_can_be_asked_the_run_is_refused_with_the_remedy(run, database):
    told = only(run("first", form=None))
    assert told.outcome == "refused"
    assert "`--approve-as NAME --reason WHY`" in told.reason
    assert approvals.read_approvals(database).is_empty()


def test_an_approval_given_beforehand_is_stored_alike(run, database):
    assert only(run("first", form=None, approval=BOB)).outcome == "published"
    (row,) = approvals.read_approvals(database).to_dicts()
    (published,) = store.read_runs(database).to_dicts()
    assert (row["run_id"], row["flow_run_id"]) == (published["run_id"], "first")
    assert (row["decision"], row["who"], row["reason"]) == ("approved", "bob", "told on the phone")


def test_what_is_refused_anyway_is_asked_about_by_nobody(run, database):
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM cash WHERE portfolio_id = 'concentrated'"))
    assert only(run("first")).outcome == "refused"
    assert approvals.read_approvals(database).is_empty()


def test_a_batch_reads_afresh_what_waits_and_not_what_it_has_published(run, database):
    published = run("first", portfolios=None).outcomes[0]
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE cash SET amount = amount * 2"))
    again = {told.portfolio_id: told for told in run("first", form="another", portfolios=None).outcomes}
    assert again["balanced"] == replace(published, outcome="published")
    assert again["concentrated"].outcome == "waiting"
