"""The command line as a person uses it: by what it prints and how it exits; once, a run in a process of its own."""

import datetime as dt
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace

import pytest

from core import store
from core.errors import StoreError
from deployments import cli
from tasks.settings import ROOT

AS_OF = "2026-11-20"


@pytest.fixture
def places(a_bare_database, tmp_path, monkeypatch):
    """A database and a folder of targets, in the environment."""
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", a_bare_database)
    monkeypatch.setenv("EVENKEEL_TARGETS", str(tmp_path / "targets"))


@pytest.fixture
def in_a_process(places, prefect_server):
    """Run a command in a process of its own."""
    environment = os.environ | {"PREFECT_API_URL": prefect_server}

    def command(*words):
        line = [sys.executable, "-m", "deployments.cli", *map(str, words)]
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)

    return command


@pytest.fixture
def evenkeel(places, monkeypatch):
    """Run a command in this process."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["evenkeel", *map(str, words)])
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        return SimpleNamespace(returncode=ended.value.code, stdout=out.getvalue(), stderr=err.getvalue())

    return command


@pytest.fixture
def filled(evenkeel, a_demo_database, monkeypatch):
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", a_demo_database)
    return evenkeel


def test_a_day_from_nothing(evenkeel, in_a_process):
    assert "The tables are ready" in evenkeel("init").stdout
    assert "prices" in evenkeel("demo-data", "--as-of", AS_OF).stdout
    done = in_a_process("run", "--as-of", AS_OF, "--portfolio", "balanced", "--json")
    assert done.returncode == 0
    content = json.loads(done.stdout)
    assert content.keys() == {"balanced"}
    assert content["balanced"]["metadata"]["total_target_allocation"] == pytest.approx(0.95)
    shown = evenkeel("show", "--portfolio", "balanced").stdout
    assert "Targets for 2026-11-20" in shown
    for target in content["balanced"]["rebalancing_targets"]:
        assert target["asset"] in shown


def test_a_weight_is_explained_from_the_store_alone(filled, prefect_server):
    filled("run", "--as-of", AS_OF, "--portfolio", "concentrated")
    told = filled("explain", "LUMIU", "--portfolio", "concentrated")
    assert told.returncode == 0
    (cut,) = [line for line in told.stdout.splitlines() if line.startswith("max_bucket_weight")]
    assert cut.split()[1:7] == ["35.00", "%", "-2.50", "%", "17.50", "%"]
    assert "Did you mean 'LUMIU'?" in filled("explain", "LUMIUU").stderr


def test_a_portfolio_without_targets_is_told_with_the_nearest_that_has_some(filled, prefect_server):
    nobody = filled("show", "--portfolio", "balancd").stderr
    assert nobody.startswith("error: there are no current targets for that: publish some")
    filled("run", "--as-of", AS_OF)
    assert "Did you mean 'balanced'?" in filled("show", "--portfolio", "balancd").stderr
    assert "known: balanced, concentrated, newcomer." in filled("show", "--portfolio", "zzz").stderr


def test_a_refusal_is_told_and_has_its_own_exit_status(filled, prefect_server):
    refused = filled("run", "--as-of", "2026-11-23", "--portfolio", "balanced")
    assert refused.returncode == 3
    assert "no cash row of 2026-11-23 (0 positions of that date)." in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_a_backfill_ends_as_its_sessions_did(filled, a_demo_database, prefect_server):
    backwards = filled("backfill", "2026-11-20", "2026-11-19")
    assert backwards.returncode == 1
    assert backwards.stderr.startswith("error: the range from 2026-11-20 to 2026-11-19 is empty")
    refused = filled("backfill", "2026-11-23", "2026-11-23", "--portfolio", "balanced")
    assert refused.returncode == 3
    assert refused.stdout.count("1 of 1 sessions failed (2026-11-23). 2026-11-23: 1 of 1 portfolios refused") == 1
    engine = store.engine_from_url(a_demo_database)
    with store.guarded(engine, dt.date(2026, 11, 20), ["balanced"], "ann", dt.datetime.now(dt.UTC)):
        busy = filled("backfill", "2026-11-20", "2026-11-20", "--portfolio", "balanced")
    assert busy.returncode == 4
    assert "1 of 1 sessions left to others, who are at work on them (2026-11-20). 2026-11-20: " in busy.stdout
    assert "Traceback" not in "".join(done.stdout + done.stderr for done in (backwards, refused, busy))


def test_json_has_those_that_were_published_and_says_what_became_of_the_others(filled, a_demo_database, prefect_server):
    engine = store.engine_from_url(a_demo_database)
    with store.guarded(engine, dt.date(2026, 11, 20), ["balanced"], "ann", dt.datetime.now(dt.UTC)):
        done = filled("run", "--as-of", AS_OF, "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 4
    assert [*content["balanced"]] == ["busy"]
    assert "ann" in content["balanced"]["busy"]
    assert content["newcomer"]["rebalancing_targets"]


def test_no_number_is_broken_however_narrow_a_terminal_and_a_file_has_a_line_per_row(monkeypatch):
    row = {"symbol": "AAA", "target": "20.00 %", "trade amount": "-1,799,985.84", "reason": "kept with a score " * 20}
    for columns, terminal in (("50", "1"), ("20", "1"), ("80", "")):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("TTY_COMPATIBLE", terminal)
        out = StringIO()
        with redirect_stdout(out):
            cli._print_rows([row, row])
        assert out.getvalue().count("-1,799,985.84") == 2
        assert out.getvalue().count("20.00 %") == 2
    assert len(out.getvalue().splitlines()) == 3


@pytest.fixture
def careful(tmp_path):
    """A policy that asks a person before more than 40 % are turned over: a file."""
    conservative = (ROOT / "deployments/policies/conservative.yaml").read_text()
    path = tmp_path / "careful.yaml"
    path.write_text(f"{conservative}\napproval: {{max_turnover: 0.4}}\n")
    return path


def test_what_needs_a_person_is_refused_until_one_approves_by_name_and_with_a_reason(filled, careful, prefect_server):
    run = ["run", "--as-of", AS_OF, "--policy", careful, "--portfolio", "concentrated"]
    refused = filled(*run)
    assert refused.returncode == 3
    assert "--approve-as NAME --reason WHY" in " ".join(refused.stdout.split())
    assert "nobody was asked about that" in filled("approvals").stderr

    assert "an approval needs a name and a reason" in filled(*run, "--approve-as", "ann").stderr
    assert "an approval needs a name and a reason" in filled(*run, "--reason", "out of technology").stderr
    assert "an approval needs a name and a reason" in filled(*run, "--approve-as", " ", "--reason", "why").stderr

    backfill = ["backfill", AS_OF, AS_OF, *run[3:]]
    assert "an approval needs a name and a reason" in filled(*backfill, "--approve-as", "ann").stderr

    approved = filled(*run, "--approve-as", "ann", "--reason", "out of technology")
    assert (approved.returncode, "approved by ann: out of technology" in approved.stdout) == (0, True)
    assert "concentrated: approved by ann at 20" in filled("show", "--as-of", AS_OF).stdout


def test_approvals_are_listed_by_date_and_portfolio(filled, careful, prefect_server):
    filled("run", "--as-of", AS_OF, "--policy", careful, "--approve-as", "ann", "--reason", "a new book")
    rows = filled("approvals").stdout.splitlines()
    assert rows[0].split()[:4] == ["portfolio", "as", "of", "run"]
    assert [row.split()[:2] for row in rows[1:] if AS_OF in row] == [["concentrated", AS_OF], ["newcomer", AS_OF]]
    assert all(word in filled("approvals", "--portfolio", "newcomer").stdout for word in ("ann", "approved", "47.50"))
    assert "nobody was asked about that" in filled("approvals", "--as-of", "2026-11-19").stderr
    assert "nobody was asked about that" in filled("approvals", "--portfolio", "balanced").stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--policy", "conservatve"], "Did you mean 'conservative'?"),
        (["show"], "run `evenkeel init`"),
        (["explain", "AAPL"], "run `evenkeel init`"),
        (["check", "nowhere.yaml"], "cannot be read"),
        (["run", "--as-of", AS_OF], "run `evenkeel init`"),
        (["run", "--shards", "0"], "--shards is 0: give 1 or more."),
        (["run", "--shards", "3", "--json"], "which a batch in shards does not"),
    ],
)
def test_an_error_is_one_paragraph_without_a_traceback(evenkeel, words, told):
    failed = evenkeel(*words)
    assert failed.returncode == 1
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert told in line
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("count", ["2.5", "2e1", "two", "0x2"])
def test_what_is_no_whole_number_is_no_number_of_shards(evenkeel, count):
    failed = evenkeel("run", "--shards", count)
    assert failed.returncode == 2
    assert f"{count!r} is no whole number" in failed.stdout + failed.stderr


def test_a_folder_that_is_not_there_is_named(filled):
    assert "nowhere" in filled("load", "nowhere").stderr


@pytest.mark.usefixtures("places")
def test_debug_lets_the_error_through_with_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["evenkeel", "show", "--debug"])
    with pytest.raises(StoreError, match="evenkeel init"):
        cli.main()


def test_check_says_what_a_policy_amounts_to(evenkeel):
    told = evenkeel("check", "conservative").stdout
    assert "Policy conservative is right" in told
    assert "no bucket above 35 % of net asset value" in told


def test_commands_that_run_no_flow_do_not_import_prefect():
    probe = "import sys, deployments.cli; print('prefect' in sys.modules)"
    line = [sys.executable, "-c", probe]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
