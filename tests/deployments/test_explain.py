"""`evenkeel explain`, on a store with a run of each kind."""

import datetime as dt

import polars as pl
import pytest
import sqlalchemy as sa

from core import store
from core.errors import StoreError
from core.store import publish
from deployments.explain import told
from tests.core.store.samples import NOON, TODAY, YESTERDAY, breach, record, target_rows

TOMORROW = dt.date(2026, 8, 1)


@pytest.fixture(scope="module")
def filled(stored):
    """`core` published twice today and once yesterday, `other` published today, `third` refused."""
    runs = [
        record("r0", as_of=YESTERDAY),
        record("r1"),
        record("r2"),
        record("r3", portfolio="other"),
        record("r4", portfolio="third", breaches=breach("third")),
    ]
    return stored(runs)


def explained(engine, symbol="AAA", portfolio=None, as_of=None, *, markdown=False):
    return told(engine, symbol, portfolio, as_of, markdown=markdown)


def test_a_weight_is_explained_from_the_wanted_one_to_the_target(engine):
    shown = explained(engine, portfolio="core")
    assert shown.startswith("AAA in core on Friday, 2026-07-31\n")
    (cut,) = [line for line in shown.splitlines() if line.startswith("max_position")]
    assert "-10.00 %    40.00 %" in cut
    assert shown.endswith("open, from 0.00 % to 40.00 %: +40.00 %")


def test_the_current_run_of_the_latest_day_is_told(engine):
    assert "run        r2, policy conservative, published" in explained(engine, portfolio="core")


def test_a_day_may_be_asked_for(engine):
    assert "run        r0," in explained(engine, as_of=YESTERDAY)


def test_all_portfolios_are_told_where_none_is_named(engine):
    shown = explained(engine)
    assert [shown.count(f"AAA in {name} on") for name in ("core", "other", "third")] == [1, 1, 1]


def test_a_refused_run_is_told_where_no_other_is_current(engine):
    shown = explained(engine, portfolio="third")
    assert "policy conservative, refused" in shown
    assert "none, for the run was refused: 1 limits breached: max_position" in shown


def test_a_published_run_counts_more_than_a_later_refusal(engine, tmp_path):
    publish(engine, tmp_path, record("r5", breaches=breach()), NOON)
    assert "run        r2," in explained(engine, portfolio="core")


def test_markdown_has_a_heading_and_a_table(engine):
    shown = explained(engine, portfolio="core", markdown=True)
    assert shown.startswith("### AAA in core")
    assert "| max_position |" in shown


def test_portfolios_without_a_weight_are_one_line_each(engine, tmp_path):
    decisions = record(portfolio="fourth").decisions.with_columns(
        wanted_weight=0.0, target_weight=0.0, why=pl.lit("no slot left")
    )
    cash = target_rows("fourth", TODAY, {})
    untold = record().explanations.clear()
    none = record("r6", portfolio="fourth", targets=cash, decisions=decisions, explanations=untold)
    publish(engine, tmp_path, none, NOON)
    assert explained(engine).endswith("In other portfolios it has no weight:\n- fourth: no slot left")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"symbol": "aab"}, r"'aab' was not considered on 2026-07-31; known: AAA, BBB\. Did you mean 'AAA'\?"),
        ({"portfolio": "cor"}, r"portfolio 'cor' has no run; known: core, other, third\. Did you mean 'core'\?"),
        ({"as_of": TOMORROW}, r"no run on 2026-08-01; the nearest: 2026-07-31 before it\."),
        (
            {"as_of": YESTERDAY, "portfolio": "other"},
            r"no run of portfolio 'other' on 2026-07-30; the nearest: 2026-07-31 after it\.",
        ),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(engine, asked, message):
    with pytest.raises(StoreError, match=message):
        explained(engine, **asked)


def test_a_store_without_runs_is_told_the_remedy(a_database):
    empty = store.engine_from_url(a_database)
    with pytest.raises(StoreError, match="make one with `evenkeel run`"):
        explained(empty)


def test_a_run_that_the_data_gate_stopped_is_told_its_reason(a_database, tmp_path):
    engine = store.engine_from_url(a_database)
    stopped = record(decisions=record().decisions.clear(), reason="no cash row. Load it.")
    publish(engine, tmp_path, stopped, NOON)
    with pytest.raises(StoreError, match=r"nothing was decided on 2026-07-31\. core: no cash row\. Load it\."):
        explained(engine)


def test_a_run_of_an_older_version_is_told_so(a_database, tmp_path):
    engine = store.engine_from_url(a_database)
    publish(engine, tmp_path, record(), NOON)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM decisions"))
    with pytest.raises(StoreError, match="kept no decisions"):
        explained(engine)
