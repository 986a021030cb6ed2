"""What changed between two runs, as it is told."""

from core.results.diff import WANTED, difference
from core.results.diff_text import diff_document, diff_markdown, headline, sections
from core.results.document import to_json
from tests.core.results.stored_runs import read, run
from tests.core.store.samples import TODAY, decision, table


def test_two_equal_runs_are_told_in_one_sentence():
    found = difference(run(), run("b"))
    assert headline(found) == "Nothing differs."
    assert sections(found) == []


def test_the_headline_counts_what_differs():
    after = run("b", {"AAA": (0.5, 0.3)}, read=read(cash=table("cash", ("core", TODAY, 1.0))), policy={"a": 1})
    found = difference(run("a", {"AAA": (0.5, 0.5)}, read=read()), after)
    assert headline(found) == "1 input row, 1 policy key, 1 target moved, 10.00 % of turnover apart."


def test_markdown_escapes_what_would_break_its_tables():
    found = difference(run(policy={"a": "x|y"}), run("b", policy={"a": "line\nline"}))
    (line,) = [line for line in diff_markdown(found).splitlines() if line.startswith("| a ")]
    assert line == "| a | x\\|y | line line |"


def test_a_large_difference_is_told_in_part_and_counted_in_full():
    many = {f"S{i:02}": (0.03, 0.03) for i in range(25)}
    assets = table("assets", *((symbol, None, None, True, None) for symbol in many))
    found = difference(run("a", read=read()), run("b", many, read=read(assets=assets)))
    titles = [title for title, _ in sections(found)]
    assert "Targets that moved: the first 20 of 26" in titles
    assert "Input rows: the first 10 of each frame" in titles
    (added,) = [row for row in dict(sections(found))["Inputs"] if row["change"] == "added"]
    assert added == {"frame": "assets", "change": "added", "rows": "25", "in": "–"}


def test_the_document_has_every_number_in_full_precision():
    third = 1 / 3
    found = difference(run("a", {"AAA": (third, third)}, read=read()), run("b", read=read()))
    content = diff_document(found)
    (target,) = [row for row in content["targets"] if row["symbol"] == "AAA"]
    assert target["before"] == third
    assert target["causes"][0]["rule"] == WANTED
    assert content["before"]["as_of"] == "2026-07-31"
    assert '"notes": []' in to_json(content)


def test_a_move_is_told_with_the_rules_behind_it_and_limits_that_changed():
    before = run("a", {"AAA": (0.5, 0.4)}, [("AAA", "max_position", 0.4, -0.1)])
    after = run("b", {"AAA": (0.5, 0.3)}, [("AAA", "max_position", 0.3, -0.2)])
    assert "| max_position -10.00 % (limit 40.00 % → 30.00 %) |" in diff_markdown(difference(before, after)).replace(
        "\u00a0", " "
    )


def test_names_that_enter_and_leave_are_told_with_the_reason():
    left = decision("AAA", 0.0, 0.0, "core", TODAY) | {"why": "score 0.4 below"}
    came = decision("BBB", 0.5, 0.5, "core", TODAY) | {"why": "selected"}
    before = run("a", {"AAA": (0.5, 0.5)})
    shown = diff_markdown(difference(before, run("b", {"BBB": (0.5, 0.5)}, decisions=[left, came])))
    assert "| entered: selected (before: not considered) |" in shown
    assert "| left: score 0.4 below |" in shown
    assert "| left: no longer considered |" in diff_markdown(difference(before, run("b")))


def test_a_number_that_changed_is_told_with_its_relative_change():
    after = run("b", read=read(cash=table("cash", ("core", TODAY, 600.0))))
    (row,) = dict(sections(difference(run(read=read()), after)))["Input rows"]
    assert (row["before"], row["after"], row["by"]) == ("500.0", "600.0", "+20.00 %")
