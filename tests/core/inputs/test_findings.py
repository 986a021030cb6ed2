import polars as pl

from core.inputs.findings import count_of, found, joined, sentence, shown, stopped_portfolios, stops_batch, summarised
from core.schemas import Findings, Severity


def warnings(count: int, severity: Severity = Severity.WARN) -> pl.DataFrame:
    rows = pl.DataFrame({"symbol": [f"S{number:02d}" for number in range(count)]}, schema={"symbol": pl.String})
    return found(
        rows,
        severity,
        "odd",
        frame="prices",
        row=pl.col("symbol"),
        message=sentence("{} is odd.", "symbol"),
        remedy="Look.",
    )


def test_a_finding_per_row_has_the_schema() -> None:
    assert Findings.is_valid(warnings(3))
    assert warnings(3)["message"].to_list() == ["S00 is odd.", "S01 is odd.", "S02 is odd."]


def test_a_finding_that_stops_the_batch_is_about_no_one_portfolio() -> None:
    rows = pl.DataFrame({"portfolio_id": ["P1"]})
    own = found(rows, Severity.STOP_PORTFOLIO, "odd", frame="cash", message=pl.lit("odd"), remedy="")
    shared = found(rows, Severity.STOP_BATCH, "odd", frame="cash", message=pl.lit("odd"), remedy="")
    assert (own["portfolio_id"][0], shared["portfolio_id"][0]) == ("P1", None)
    assert stopped_portfolios(joined([own, shared])) == ("P1",)
    assert stops_batch(joined([own, shared])).height == 1


def test_empty_and_missing_cells_and_blanks_at_their_ends_can_be_seen() -> None:
    cells = pl.DataFrame({"cell": ["A", "", None, "A ", "\tA", " ", "A\n", "A B", "A'B"]})
    told = ["A", "''", "null", "'A '", "'\tA'", "' '", "'A\n'", "A B", "A'B"]
    assert cells.select(shown("cell")).to_series().to_list() == told


def test_one_is_told_in_the_singular() -> None:
    ages = pl.DataFrame({"age_days": [0, 1, 6, None]})
    assert ages.select(count_of("age_days", "day")).to_series().to_list() == ["0 days", "1 day", "6 days", "null days"]


def test_twenty_findings_of_a_kind_are_told_one_by_one() -> None:
    assert summarised(warnings(20)).height == 20


def test_more_than_twenty_of_a_kind_become_one_with_count_and_first_rows() -> None:
    finding = summarised(warnings(22)).row(0, named=True)
    assert summarised(warnings(22)).height == 1
    assert finding["value"] == "22"
    assert finding["message"] == "22 rows like this one: S00 is odd."
    assert finding["row"].startswith("S00, S01, ")
    assert finding["row"].endswith("S19 and 2 more")


def test_findings_are_in_order_of_severity() -> None:
    ordered = summarised(joined([warnings(1), warnings(1, Severity.STOP_BATCH), warnings(1, Severity.EXCLUDE)]))
    assert ordered["severity"].to_list() == ["stop_batch", "exclude", "warn"]


def test_the_same_finding_is_told_once() -> None:
    assert summarised(joined([warnings(1), warnings(1)])).height == 1
