import base64
from xml.etree import ElementTree

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from core.limits import RebalancingLimits
from core.results.chart import CARD, FULL, Mark, bucket_marks, charts, image, most_traded, name_marks
from core.results.report import Outcome
from core.results.targets import bucket_statistics
from tests.core.results.test_summary import made, report

LAST = {"portfolio_id": pl.String, "as_of": pl.Date, "symbol": pl.String, "is_cash": pl.Boolean, "bucket": pl.String}
BEFORE = pl.DataFrame(schema=LAST | {"target_weight": pl.Float64})
SVG = "{http://www.w3.org/2000/svg}"


def last(*rows, portfolio_id="p"):
    """The targets of a run of the second of January: (symbol, bucket, weight)."""
    columns = {"symbol": [row[0] for row in rows], "bucket": [row[1] for row in rows]}
    frame = pl.DataFrame(columns | {"target_weight": [row[2] for row in rows]}).with_columns(
        portfolio_id=pl.lit(portfolio_id), as_of=pl.date(2026, 1, 2), is_cash=pl.lit(False)
    )
    return pl.concat([BEFORE, frame.select(BEFORE.columns)])


def limited(targets, limit):
    limits = RebalancingLimits(enable_bucket_diversification=True, max_allocation_per_bucket=limit)
    return bucket_statistics(targets, limits)


def drawn(targets, before=BEFORE, limit=0.45):
    """The parsed picture of portfolio p."""
    told = report([Outcome("p", "published")], targets=targets, bucket_statistics=limited(targets, limit))
    ((_, picture),) = charts(told, ["p"], before)
    svg = base64.b64decode(picture.split("base64,")[1].removesuffix(")"))
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def words(picture):
    return [text.text for text in picture.iter(f"{SVG}text")]


def test_each_bucket_is_beside_its_limit():
    told = words(drawn(made(weight=0.4)))
    assert told[told.index("A") + 1] == "40.00 % of 45.00 %"
    assert told[told.index("B") + 1] == "10.00 % of 45.00 %"


def test_a_bucket_without_a_limit_has_its_weight_alone():
    statistics = bucket_statistics(made(), RebalancingLimits())
    told = report([Outcome("p", "published")], bucket_statistics=statistics)
    ((_, picture),) = charts(told, ["p"], BEFORE)
    svg = base64.b64decode(picture.split("base64,")[1].removesuffix(")")).decode()
    assert ">40.00 %<" in svg
    assert "line: limit" not in svg


def test_a_bucket_whose_limit_binds_has_a_colour_of_its_own():
    def orange(limit):
        return [bar for bar in drawn(made(weight=0.4), limit=limit).iter(f"{SVG}rect") if bar.get("fill") == FULL]

    moves = len(orange(0.45))
    assert len(orange(0.4)) == moves + 1


def test_moves_are_told_from_the_last_run_and_the_largest_comes_first():
    picture = drawn(made(weight=0.4), last(("A1", "A", 0.35), ("B1", "B", 0.1), ("C1", "C", 0.2)))
    told = words(picture)
    moves = told[told.index("What moved from the run of 2026-01-02") :]
    assert moves[2:] == ["C1", "20.00 → 0.00 % (-20.00)", "A1", "35.00 → 40.00 % (+5.00)"]


def test_a_portfolio_without_a_run_before_is_compared_with_what_it_holds():
    told = words(drawn(made(weight=0.4)))
    assert "What moved from the weights held today (no run before)" in told
    assert "5.00 → 40.00 % (+35.00)" in told


def test_where_nothing_moved_it_is_said():
    assert words(drawn(made(weight=0.4), last(("A1", "A", 0.4), ("B1", "B", 0.1))))[-1] == "none"


def test_a_bucket_that_was_left_is_shown_at_zero():
    marks = bucket_marks(limited(made(), 0.45), last(("C1", "C", -0.2)).rename({"target_weight": "weight"}))
    assert Mark("C", 0.2, 0.0, 0.45) in marks


def test_what_is_not_shown_is_counted():
    many = [(f"X{place:02}", f"Bucket {place:02}", 0.01) for place in range(30)]
    told = words(drawn(made(weight=0.4), last(*many)))
    assert "and 20 more buckets, 0.00 % together" in told
    assert "and 20 more moves, 20.00 % together" in told


def test_the_portfolio_with_the_most_turnover_comes_first():
    both = pl.concat([made("calm", 0.1), made("wild", 0.4)])
    assert most_traded(report([], targets=both)) == ["wild", "calm"]


def test_a_short_name_is_drawn_below_zero():
    (mark,) = name_marks(
        pl.DataFrame({"symbol": ["A"], "target_weight": [-0.1]}),
        pl.DataFrame({"symbol": ["A"], "weight": [0.05]}),
    )
    assert mark.reach == (-0.1, 0.05)


def test_a_picture_is_on_a_card_of_its_own():
    card = next(drawn(made()).iter(f"{SVG}rect"))
    assert card.get("fill") == CARD


@given(st.text(min_size=1, max_size=90))
def test_any_label_is_told_in_full_within_the_picture(label):
    picture = drawn(made(), last((label, label, 0.2)))
    width = float(picture.get("width"))
    for text in picture.iter(f"{SVG}text"):
        if text.get("text-anchor") is None:
            assert float(text.get("x")) + 5 * len(text.text or "") < width
    plain = "".join(letter if letter.isprintable() else "�" for letter in label)
    told = "".join("".join(word or "" for word in words(picture)).split())
    assert "".join(plain.split()) in told


@given(st.text(max_size=60))
def test_any_text_stays_within_the_alternative_of_an_image(said):
    line = image("<svg/>", said)
    assert line.count("](") == 1
    assert "\n" not in line
