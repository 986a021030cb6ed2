"""`evenkeel diff`: two runs or two dates, and what is printed of them."""

import datetime as dt
import json

import pytest

from core.errors import StoreError
from core.store import publish
from deployments.cli import app
from deployments.diff import diffs
from tests.core.store.samples import NOON, TODAY, YESTERDAY, record, target_rows
from tests.deployments.conftest import named

TARGETS = "targets"


def lower(portfolio="core"):
    """AAA at 30 % in place of 40 %."""
    targets = target_rows(portfolio, TODAY, {"AAA": 0.3, "BBB": 0.3})
    return {"targets": targets, "policy": "limits: {max: 1}\n"}


@pytest.fixture(scope="module")
def filled(stored):
    made = [
        record("aaaaaa1", as_of=YESTERDAY),
        record("aaaaaa2"),
        record("bbbbbb1", **lower()),
        record("cccccc1", portfolio="other", as_of=YESTERDAY),
        record("cccccc2", portfolio="other"),
        record("dddddd1", portfolio="third"),
    ]
    return stored(made)


@pytest.fixture
def compared(engine, tmp_path):
    return lambda *given: list(diffs(engine, tmp_path / TARGETS, *given, *[None] * (3 - len(given))))


def test_two_runs_are_named_by_the_beginning_of_their_ids(compared):
    (told,) = compared("aaaaaa2", "bbbbbb")
    assert (told.before.run_id, told.after.run_id) == ("aaaaaa2", "bbbbbb1")
    moved = told.targets.filter(symbol="AAA").row(0, named=True)
    assert (moved["before"], moved["after"]) == (0.4, 0.3)
    assert told.policy.rows() == [("limits.max", None, "1")]


def test_two_dates_compare_the_current_runs_of_each_portfolio_that_has_both(compared):
    found = compared("2026-07-30", "2026-07-31")
    assert [(told.before.run_id, told.after.run_id) for told in found] == [
        ("aaaaaa1", "bbbbbb1"),
        ("cccccc1", "cccccc2"),
    ]
    (told,) = compared("2026-07-30", "2026-07-31", "other")
    assert told.targets.is_empty()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ("aaaaaa", "bbbbbb1"),
            r"begin with 'aaaaaa': aaaaaa1 \(core, 2026-07-30\), aaaaaa2 \(core, 2026-07-31\)\. Giv",
        ),
        (("bbbbb", "aaaaaa1"), "give at least 6 characters"),
        (("AAAAAA2", "aaaaaa1"), "there is no run 'AAAAAA2'"),
        (("aaaaaa%", "aaaaaa1"), "there is no run 'aaaaaa%'"),
        (("aaaaaa1", "cccccc1"), "run aaaaaa1 is of 'core' and run cccccc1 is of 'other'"),
        (("2026-07-30", "aaaaaa1"), "give two runs, or two dates"),
        (("2026-07-30", "2026-02-30"), "'2026-02-30' is no date"),
        (("2026-07-30", "2026-08-01"), "on 2026-07-30: core, other; on 2026-08-01: none"),
        (("aaaaaa1", "bbbbbb1", "other"), "runs of portfolio 'core', not of 'other'"),
    ],
)
def test_what_cannot_be_compared_is_told_with_the_remedy(compared, asked, message):
    with pytest.raises(StoreError, match=message):
        compared(*asked)


def test_inputs_that_cannot_be_read_are_noted_and_the_rest_is_told(engine, compared, tmp_path):
    publish(engine, tmp_path / TARGETS, record("eeeeee1", inputs_hash="i2", **lower()), NOON)
    assert compared("aaaaaa2", "eeeeee1")[0].notes == []
    for path in (tmp_path / TARGETS / "_inputs").iterdir():
        path.unlink()
    (told,) = compared("aaaaaa2", "eeeeee1")
    assert told.notes[0].startswith("Input rows are not compared: the stored ")
    assert not told.targets.is_empty()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET inputs_id = NULL WHERE run_id = 'aaaaaa2'")
    assert compared("aaaaaa2", "eeeeee1")[0].notes[0].startswith("Run aaaaaa2 is of a program that kept no inputs")


def test_a_stored_policy_that_is_none_is_told(engine, compared):
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET policy = 'name: [' WHERE run_id = 'aaaaaa2'")
    with pytest.raises(StoreError, match="the policy stored with run aaaaaa2 is none"):
        compared("aaaaaa2", "bbbbbb1")


@pytest.fixture
def here(engine, tmp_path, monkeypatch):
    named(engine, tmp_path / TARGETS, monkeypatch)
    return lambda *words: app(["diff", *words], result_action="return_value")


def test_the_command_prints_tables(here, capsys):
    here("aaaaaa2", "bbbbbb1")
    shown = capsys.readouterr().out
    assert shown.startswith("core: run aaaaaa2 of 2026-07-31 (policy conservative, superseded) → run bbbbbb1 ")
    (line,) = [line for line in shown.splitlines() if line.startswith("AAA")]
    assert line.split()[:7] == ["AAA", "40.00", "%", "30.00", "%", "-10.00", "%"]


def test_brackets_are_printed_as_they_stand(engine, here, tmp_path, capsys):
    publish(engine, tmp_path / TARGETS, record("ffffff1", policy="limits: '[/red] [bold]'\n"), NOON)
    here("bbbbbb1", "ffffff1")
    assert "[/red] [bold]" in capsys.readouterr().out


def test_the_command_prints_json(here, capsys):
    here("2026-07-30", "2026-07-31", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [each["before"]["portfolio_id"] for each in found] == ["core", "other"]
    assert dt.date.fromisoformat(found[0]["after"]["as_of"]) == TODAY
