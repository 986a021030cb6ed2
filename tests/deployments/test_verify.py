"""`evenkeel verify`: which runs it takes, what it prints, and how it exits."""

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from core.errors import StoreError
from core.reproduce import CHECKS, DIFFERS, IN_PART, VERIFIED
from core.results.document import to_json
from deployments.cli import app
from deployments.verify import checked, closing, differs, document, lines, runs_to_verify
from tests.core.store.samples import TODAY, YESTERDAY, breach, record
from tests.deployments.conftest import named

TOMORROW = dt.date(2026, 8, 1)


@pytest.fixture(scope="module")
def filled(stored):
    """`core` published twice today and once yesterday, `other` today, `third` refused today, and again tomorrow.

    The runs kept inputs of a program that says nothing about them, so that file and rows are all there is to check.
    """
    made = [
        record("run000", as_of=YESTERDAY),
        record("run001"),
        record("run002"),
        record("run003", portfolio="other"),
        record("run004", portfolio="third", breaches=breach("third")),
        record("run005", portfolio="third", as_of=TOMORROW, breaches=breach("third", TOMORROW)),
    ]

    def without_inputs(engine):
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE runs SET inputs_id = NULL"))

    return stored(made, without_inputs)


def chosen(engine, as_of=None, portfolio=None, run=None, *, every=False):
    parts = runs_to_verify(engine, as_of, portfolio, run, every=every)
    return [part["run_id"].to_list() for part in parts]


def test_the_current_runs_of_the_latest_date_that_has_any_are_verified(engine):
    assert chosen(engine) == [["run002", "run003"]]


def test_a_date_a_portfolio_a_run_or_all_may_be_asked_for(engine):
    assert chosen(engine, YESTERDAY) == [["run000"]]
    assert chosen(engine, portfolio="other") == [["run003"]]
    assert chosen(engine, run="run004") == [["run004"]]
    assert chosen(engine, every=True) == [["run000"], ["run001", "run002", "run003"]]
    assert chosen(engine, portfolio="core", every=True) == [["run000"], ["run001", "run002"]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"as_of": TOMORROW}, "no run is published on 2026-08-01"),
        ({"portfolio": "cor"}, "Did you mean 'core'"),
        ({"run": "run009"}, "there is no run 'run009'"),
        ({"run": "run"}, "give at least 6 characters"),
        ({"run": "run000", "every": True}, "leave out --as-of"),
    ],
)
def test_what_is_not_there_is_told_with_the_remedy(engine, asked, message):
    with pytest.raises(StoreError, match=message):
        chosen(engine, **asked)


def test_each_run_is_one_line_with_a_clear_word(engine, tmp_path):
    checks = checked(engine, tmp_path / "targets", runs_to_verify(engine, None, None, None, every=False))
    assert checks.schema == CHECKS
    assert [(line["portfolio"], line["run"], line["verdict"]) for line in lines(checks)] == [
        ("core", "run002", IN_PART),
        ("other", "run003", IN_PART),
    ]
    assert closing(checks)[0] == "2 runs: 2 in part."
    assert not differs(checks)


def test_files_of_no_run_are_told_and_are_no_difference(engine, tmp_path):
    root = tmp_path / "targets"
    (root / f"as_of={TODAY}" / "lost.parquet").write_bytes(b"")
    checks = checked(engine, root, runs_to_verify(engine, None, None, None, every=False))
    assert closing(checks)[1].startswith("File as_of=2026-07-31/lost.parquet: no run names it")
    assert not differs(checks)
    assert len(document(checks)["leftovers"]) == 1


def test_the_document_has_every_check_of_every_run(engine, tmp_path):
    checks = checked(engine, tmp_path / "targets", runs_to_verify(engine, None, "core", None, every=False))
    (run,) = json.loads(to_json(document(checks)))["runs"]
    assert (run["run_id"], run["as_of"], run["verdict"]) == ("run002", "2026-07-31", IN_PART)
    assert [check["check"] for check in run["checks"]] == ["file", "rows", "inputs"]


def verify(*words):
    return app(["verify", *words], result_action="return_value")


def test_the_exit_status_says_that_something_differs(engine, tmp_path, monkeypatch, capsys):
    named(engine, tmp_path / "targets", monkeypatch)
    assert verify() == 0
    assert "2 runs: 2 in part." in capsys.readouterr().out
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE targets SET target_weight = 0.41 WHERE symbol = 'AAA'"))
    assert verify("--json") == 5
    (core, _) = json.loads(capsys.readouterr().out)["runs"]
    assert core["verdict"] == DIFFERS
    assert core["checks"][0]["verdict"] == VERIFIED
    assert core["detail"] == "rows: target_weight of AAA is 0.4 in the file and 0.41 in SQL"
