import polars as pl
import pytest

from core.actions import action_rows, numbered
from core.limits import RebalancingLimits
from core.results.report import BatchReport, Outcome, joined
from core.results.summary import action_table, bucket_table, summary, target_table
from core.results.tables import amount, markdown_table, percent
from core.results.targets import bucket_statistics, targets
from core.schemas import Actions, Decisions, Explanations, Findings, Relaxations, empty
from tests.core.decisions.build import AS_OF, rows


def made(portfolio_id="p", weight=0.4):
    frame = rows("A1 .9 held", "B1 .8", portfolio_id=portfolio_id).with_columns(
        target_weight=pl.Series([weight, 0.1]), wanted_weight=pl.Series([weight, 0.1]), close=10.0
    )
    nav = pl.DataFrame({"portfolio_id": [portfolio_id], "as_of": [AS_OF], "nav": [1000.0], "cash": [950.0]})
    return targets(frame, nav, empty(Actions))


def rejected(count=1):
    frame = pl.concat([rows("A1 .5", portfolio_id=f"p{i}") for i in range(count)])
    told = action_rows(frame, "screening", "min_score_new_position", "reject", before=pl.col("score"), limit=0.65)
    return numbered([told])


def finding(severity="warn", message="a price is odd.", portfolio_id=None):
    row = {"severity": severity, "code": "odd", "portfolio_id": portfolio_id, "frame": "prices", "message": message}
    return Findings.cast(pl.DataFrame(row | dict.fromkeys(("symbol", "column", "row", "value")) | {"remedy": "Look."}))[
        Findings.column_names()
    ]


def report(outcomes, **frames):
    limits = RebalancingLimits(enable_bucket_diversification=True)
    target_rows = frames.pop("targets", made())
    content = {
        "targets": target_rows,
        "actions": empty(Actions),
        "findings": empty(Findings),
        "bucket_statistics": bucket_statistics(target_rows, limits),
        "relaxations": empty(Relaxations),
        "explanations": empty(Explanations),
        "decisions": empty(Decisions),
        "dry_run": False,
    }
    return BatchReport(as_of=AS_OF, policy_name="calm", batch_id="batch-1", outcomes=outcomes, **content | frames)


def test_a_portfolio_is_one_line_with_units():
    told = summary(report([Outcome("p", "published")]))
    assert told.startswith("# Rebalance of Monday, 2026-01-05\n\nPolicy **calm** · 1 portfolio: 1 published\n")
    assert "turnover % | gross % | net % | cash % |" in told.replace("\u00a0", " ")
    assert "| p | published | 2 | 1 | 0 | 22.50 | 50.00 | 50.00 | 50.00 |" in told


def test_the_time_of_each_step_adds_up_and_the_solvers_are_counted():
    parts = [
        report([Outcome("p", "published")], seconds={"reading": 0.5, "targets": 1.0}, solvers={"newton": 2}),
        report([Outcome("q", "published")], seconds={"targets": 0.5}, solvers={"newton": 1, "clarabel": 1}),
    ]
    told = summary(joined(report([]), parts)).replace("\u00a0", " ")
    assert "## Time\n\n| step | seconds | share % |\n| :-- | --: | --: |\n| reading | 0.50 | 25.00 |" in told
    assert "| targets | 1.50 | 75.00 |\n| all, beside Prefect's own | 2.00 | 100.00 |" in told
    assert "Solved exactly: 3 runs by newton, 1 run by clarabel." in told
    assert "## Time" not in summary(report([Outcome("p", "published")]))


def test_a_number_in_a_column_of_several_units_stays_with_its_own_on_one_line():
    rows = [{"limit": "a", "used": "22.50 %"}, {"limit": "b", "used": "10"}]
    assert markdown_table(rows)[2:] == ["| a | 22.50\u00a0% |", "| b | 10 |"]


def test_a_column_of_words_keeps_what_looks_like_a_unit():
    assert markdown_table([{"portfolio": "p", "why": "above 20 %"}])[0] == "| portfolio | why |"


def test_pictures_stand_below_the_portfolios_and_above_what_was_enforced():
    told = summary(report([Outcome("p", "published")], actions=rejected()), ["![p](data:)", "![q](data:)"])
    assert "## Weights\n\n![p](data:)\n\n![q](data:)\n\n## Enforced" in told
    assert "## Weights" not in summary(report([Outcome("p", "published")]))


def test_refusals_come_first_with_their_reason():
    told = summary(report([Outcome("p", "published"), Outcome("q", "refused", "no cash row. Load it.")]))
    assert told.index("- **q**: no cash row. Load it.") < told.index("## Portfolios")
    assert "| q | refused | – |" in told


def test_the_lines_of_a_longer_reason_stay_lines_of_its_item():
    reason = "A and B cannot both hold:\n- raise A to 8 %,\n\nor hold 19 names."
    told = summary(report([Outcome("q", "refused", reason)]))
    assert "- **q**: A and B cannot both hold:\n  - raise A to 8 %,\n\n  or hold 19 names.\n" in told


def relaxed(constraint, scope, limit, used):
    row = {"portfolio_id": "p", "as_of": AS_OF, "constraint": constraint, "scope": scope, "limit": limit, "used": used}
    return Relaxations.cast(pl.DataFrame(row | {"reason": "not all limits can hold"}))


def test_limits_that_gave_way_are_told_with_both_values_and_why():
    gave_way = pl.concat([relaxed("max_bucket_weight", "Energy", 0.3, 0.35), relaxed("max_positions", "", 10.0, 11.0)])
    told = summary(report([Outcome("p", "published")], relaxations=gave_way)).replace("\u00a0", " ")
    assert "## Limits that gave way" in told
    assert "| p | max_bucket_weight | Energy | 30.00 % | 35.00 % | not all limits can hold |" in told
    assert "| p | max_positions | – | 10 | 11 | not all limits can hold |" in told
    assert "gave way" not in summary(report([Outcome("p", "published")]))


def test_a_dry_run_says_that_nothing_was_published():
    assert "Dry run: nothing was published" in summary(report([Outcome("p", "planned")], dry_run=True))


def test_a_rule_is_one_line_however_often_it_acted():
    told = summary(report([Outcome("p", "published")], actions=rejected(3)))
    example = "A1 rejected: score 0.5000 below the entry threshold 0.6500"
    assert f"| reject · min_score_new_position | 3 | 3 | {example} |" in told


def test_findings_are_told_gravest_first_and_once():
    findings = pl.concat([finding(), finding("stop_batch", "a | b"), finding()])
    told = summary(report([Outcome("p", "published")], findings=findings))
    assert told.index("**stop batch**: a \\| b Look.") < told.index("**warn**: a price is odd. Look.")
    assert told.count("a price is odd") == 1


def test_what_is_shortened_says_where_the_rest_is():
    outcomes = [Outcome(f"p{i}", "refused", "bad") for i in range(30)]
    told = summary(report(outcomes))
    assert "all 30 runs are in the table `runs` where `batch_id = 'batch-1'`" in told
    assert "Shortened" not in summary(report(outcomes[:20]))


@pytest.mark.parametrize("outcome", ["refused", "failed", "busy", "waiting"])
def test_a_list_that_is_cut_counts_the_rest(outcome):
    told = summary(report([Outcome(f"p{number:02}", outcome, f"reason {number}") for number in range(23)]))
    assert told.count("- and 3 more") == 1
    assert "- and" not in summary(report([Outcome(f"p{number:02}", outcome, "reason") for number in range(20)]))


def test_without_portfolios_there_is_no_section_of_them():
    assert "## Portfolios" not in summary(report([]))
    assert "count from what is held this morning" in summary(report([Outcome("p", "published")]))


def test_differences_that_no_artifact_tells_are_counted_with_a_command_that_does():
    outcomes = [Outcome(f"p{i}", "published", run_id=f"new{i}", supersedes=f"old{i}") for i in range(23)]
    told = summary(report(outcomes))
    assert "23 runs took the place of another. What changed is an artifact of the first 20; of the others" in told
    assert "`evenkeel diff old20 new20`" in told
    assert "took the place" not in summary(report(outcomes[:20]))


def test_a_table_of_one_portfolio_does_not_repeat_its_name():
    assert "portfolio" not in target_table(made())[0]
    assert target_table(pl.concat([made("p"), made("q")]))[0]["portfolio"] == "p"
    assert action_table(empty(Actions)) == []


def test_targets_are_told_largest_first_and_cash_last():
    told = target_table(made())
    assert [row["symbol"] for row in told] == ["A1", "B1", "$CASH"]
    assert told[0] == {
        "symbol": "A1",
        "bucket": "A",
        "action": "increase",
        "current": "5.00 %",
        "target": "40.00 %",
        "trade": "+35.00 %",
        "trade amount": "350.00",
        "trade quantity": "35.00",
        "score": "0.9000",
        "reason": "",
    }


def test_actions_are_told_as_sentences():
    (row,) = action_table(rejected())
    assert (row["step"], row["rule"], row["symbol"]) == ("screening", "min_score_new_position", "A1")
    assert row["what happened"] == "A1 rejected: score 0.5000 below the entry threshold 0.6500"


def test_buckets_are_told_with_their_usage():
    limits = RebalancingLimits(enable_bucket_diversification=True)
    first, _ = bucket_table(bucket_statistics(made(), limits))
    assert (first["bucket"], first["gross"], first["limit of gross"], first["used"]) == (
        "A",
        "40.00 %",
        "40.00 %",
        "100.00 %",
    )
    unlimited, _ = bucket_table(bucket_statistics(made(), RebalancingLimits()))
    assert unlimited["used"] == unlimited["limit of names"] == "–"


@pytest.mark.parametrize(
    ("fraction", "told"), [(0.12345, "12.35 %"), (-0.00001, "0.00 %"), (0.0, "0.00 %"), (-0.5, "-50.00 %")]
)
def test_fractions_are_told_in_percent_without_a_negative_zero(fraction, told):
    assert percent(fraction) == told


def test_amounts_have_separators_and_may_be_absent():
    assert amount(1234567.891) == "1,234,567.89"
    assert amount(-0.001) == "0.00"
    assert amount(None) == "–"
