"""A portfolio's weights as a picture: each bucket against its limit, and what moved since its last run.

`charts` gives one image per portfolio, as Markdown. An image is an SVG document in a `data:` address (`image`), drawn
by hand on a card of its own, so that it reads the same on a light page and on a dark one. `bucket_marks` and
`name_marks` are what is drawn: at most `SHOWN` of each, and a line that counts the rest; no label is cut, long ones are
broken into lines.
"""

import base64
import datetime as dt
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import polars as pl

from core.limits import TOLERANCE
from core.results.report import BatchReport
from core.results.tables import percent
from core.wording import counted

SHOWN = 12  # so many buckets, and so many moves
LABEL = 28  # characters of a line of a label
WIDTH = 640  # of a picture, in pixels
LETTER, LINE = 7.4, 15  # of a character and a line of text, about
MARGIN, GAP, ROW = 16, 12, 24
NUMBERS = 186  # the column of numbers
PLOT = 220  # the least that is left to draw in

CARD, EDGE, INK, QUIET, TRACK = "#ffffff", "#d4d4d8", "#18181b", "#52525b", "#f4f4f5"
BAR, FULL, UP, DOWN = "#2563eb", "#c2410c", "#2563eb", "#c2410c"
FULL_FROM = 1 - 1e-6  # of a limit: it binds


@dataclass(frozen=True)
class Mark:
    """One line of a picture: a weight as it was and as it is to be, and its limit; fractions of net asset value."""

    label: str
    before: float
    after: float
    limit: float | None = None

    @property
    def change(self) -> float:
        """By how much it moved."""
        return self.after - self.before

    @property
    def is_full(self) -> bool:
        """Whether the limit binds."""
        return self.limit is not None and self.after >= self.limit * FULL_FROM

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the greatest number that is drawn."""
        drawn = (0.0, self.before, self.after, self.limit or 0.0)
        return min(drawn), max(drawn)


@dataclass(frozen=True)
class Scale:
    """From weights to pixels."""

    left: float
    width: float
    low: float
    high: float

    def at(self, weight: float) -> float:
        """Where a weight is drawn."""
        return self.left + self.width * (weight - self.low) / ((self.high - self.low) or 1.0)


def most_traded(report: BatchReport) -> list[str]:
    """The portfolios of a batch that have targets, the one with the most turnover first."""
    ordered = report.totals.figures.sort(-pl.col("turnover"), "portfolio_id")
    return ordered["portfolio_id"].to_list()


def charts(report: BatchReport, portfolios: Sequence[str], before: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Each of these portfolios, and its picture as Markdown.

    `before`: the targets of each portfolio's last published run before this one: portfolio_id, as_of, symbol, is_cash,
    bucket, target_weight. A portfolio without any is compared with the weights that it holds.
    """
    for portfolio_id in portfolios:
        own = (frame.filter(portfolio_id=portfolio_id) for frame in (report.targets, report.bucket_statistics, before))
        yield portfolio_id, _chart(portfolio_id, *own)


def _chart(portfolio_id: str, targets: pl.DataFrame, statistics: pl.DataFrame, before: pl.DataFrame) -> str:
    names, then = targets.filter(~pl.col("is_cash")), before.filter(~pl.col("is_cash"))
    last: dt.date | None = before["as_of"].max()  # type: ignore[assignment]
    since = "the weights held today (no run before)" if last is None else f"the run of {last}"
    old = names.select("symbol", "bucket", weight="current_weight")
    if last is not None:
        old = then.select("symbol", "bucket", weight="target_weight")
    panels = [
        _bucket_panel(bucket_marks(statistics, old), since),
        _move_panel(name_marks(names, old), since),
    ]
    return image(
        picture(portfolio_id, panels),
        f"{portfolio_id}: weights by bucket against their limits, and what moved from {since}",
    )


def bucket_marks(statistics: pl.DataFrame, old: pl.DataFrame) -> list[Mark]:
    """One mark per bucket that has weight or had it, the heaviest first.

    `statistics` has the schema `BucketStatisticsRows`; `old`: symbol, bucket, weight.
    """
    limits = statistics["max_allocation"].drop_nulls()
    had = old.drop_nulls("bucket").group_by("bucket").agg(before=pl.col("weight").abs().sum())
    both = statistics.select("bucket", "max_allocation", after="gross_weight").join(
        had.filter(pl.col("before") > TOLERANCE), on="bucket", how="full", coalesce=True
    )
    filled = both.with_columns(pl.col("before", "after").fill_null(0.0)).sort(
        -pl.col("after"), -pl.col("before"), "bucket"
    )
    common = limits[0] if limits.n_unique() == 1 else None
    return [
        Mark(row["bucket"], row["before"], row["after"], row["max_allocation"] or common)
        for row in filled.iter_rows(named=True)
    ]


def name_marks(names: pl.DataFrame, old: pl.DataFrame) -> list[Mark]:
    """One mark per name whose weight moved, the largest move first. `old`: symbol, bucket, weight."""
    after, before = names.select("symbol", after="target_weight"), old.select("symbol", before="weight")
    both = after.join(before, on="symbol", how="full", coalesce=True).with_columns(
        pl.col("before", "after").fill_null(0.0)
    )
    change = (pl.col("after") - pl.col("before")).abs()
    moved = both.filter(change > TOLERANCE).sort(-change, "symbol")
    return [Mark(*row) for row in moved.select("symbol", "before", "after").iter_rows()]


# drawing


@dataclass(frozen=True)
class Panel:
    """Marks below a heading: what the signs mean, and what is said of those that are not shown."""

    heading: str
    legend: str
    marks: Sequence[Mark]
    rest: str
    from_zero: bool  # bars; otherwise lines from one weight to the other


def _bucket_panel(marks: Sequence[Mark], since: str) -> Panel:
    limited = any(mark.limit for mark in marks[:SHOWN])
    signs = "bar: target, orange where its limit binds · line: limit" if limited else "bar: target"
    rest = _rest("more bucket", [mark.after for mark in marks[SHOWN:]])
    heading = "Weights by bucket, in percent of net asset value"
    return Panel(heading, f"{signs} · ring: {since}", marks[:SHOWN], rest or _none(marks), from_zero=True)


def _move_panel(marks: Sequence[Mark], since: str) -> Panel:
    rest = _rest("more move", [abs(mark.change) for mark in marks[SHOWN:]])
    legend = "ring: before · dot: target, blue where it rose, orange where it fell" if marks else ""
    return Panel(f"What moved from {since}", legend, marks[:SHOWN], rest or _none(marks), from_zero=False)


def _rest(what: str, left: Sequence[float]) -> str:
    return f"and {counted(len(left), what)}, {percent(sum(left))} together" if left else ""


def _none(marks: Sequence[Mark]) -> str:
    return "" if marks else "none"


def picture(title: str, panels: Sequence[Panel]) -> str:
    """An SVG document: a title, and the panels below each other."""
    labels = [line for panel in panels for mark in panel.marks for line in _lines(mark.label)]
    column = max(map(_width, [*labels, "a bucket"])) + GAP
    width = max(WIDTH, column + PLOT + NUMBERS + 2 * MARGIN, _width(title) * 1.4 + 2 * MARGIN)
    top, parts = MARGIN + 18.0, [_text(title, MARGIN, MARGIN + 14, size=16, weight=600)]
    for panel in panels:
        scale = _scale(panel.marks, MARGIN + column, width - 2 * MARGIN - column - NUMBERS)
        drawn, top = _panel(panel, scale, top + 2 * GAP, width - MARGIN)
        parts += drawn
    return _document(parts, width, top + MARGIN)


def image(svg: str, alt: str) -> str:
    """An SVG document as a Markdown image."""
    said = _printable(alt).translate(str.maketrans("[]\\", "()/"))
    return f"![{said}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _scale(marks: Sequence[Mark], left: float, width: float) -> Scale:
    reaches = [mark.reach for mark in marks] or [(0.0, 1.0)]
    return Scale(left, width, min(low for low, _ in reaches), max(high for _, high in reaches))


def _panel(panel: Panel, scale: Scale, top: float, right: float) -> tuple[list[str], float]:
    """The parts of a panel, and where it ends."""
    parts = [_text(panel.heading, MARGIN, top + 10, weight=600)]
    top += LINE + 4
    if panel.legend:
        parts.append(_text(panel.legend, MARGIN, top + 8, size=11, fill=QUIET))
        top += LINE + 6
    for mark in panel.marks:
        lines = _lines(mark.label)
        height = max(ROW, LINE * len(lines) + 6)
        parts += _row(mark, lines, scale, top + height / 2, right, panel.from_zero)
        top += height
    if panel.rest:
        parts.append(_text(panel.rest, MARGIN, top + 12, fill=QUIET))
        top += LINE + 4
    return parts, top


def _row(mark: Mark, lines: Sequence[str], scale: Scale, middle: float, right: float, from_zero: bool) -> Iterator[str]:
    """A label, what is drawn of its weights, and the numbers."""
    first = middle + 4 - LINE * (len(lines) - 1) / 2
    for place, line in enumerate(lines):
        yield _text(line, MARGIN, first + LINE * place)
    yield _rect(scale.left, middle - 7, scale.width, 14, TRACK)
    yield from (_bar if from_zero else _move)(mark, scale, middle)
    yield _text(_numbers(mark, from_zero), right, middle + 4, anchor="end")


def _bar(mark: Mark, scale: Scale, middle: float) -> Iterator[str]:
    zero, end = scale.at(0.0), scale.at(mark.after)
    yield _rect(min(zero, end), middle - 7, abs(end - zero), 14, FULL if mark.is_full else BAR)
    yield _ring(scale.at(mark.before), middle)
    if mark.limit is not None:
        yield _rect(scale.at(mark.limit) - 1, middle - 10, 2, 20, INK)


def _move(mark: Mark, scale: Scale, middle: float) -> Iterator[str]:
    start, end, colour = scale.at(mark.before), scale.at(mark.after), UP if mark.change > 0 else DOWN
    yield _rect(scale.at(0.0) - 0.5, middle - ROW / 2, 1, ROW, QUIET)
    yield _rect(min(start, end), middle - 1.5, abs(end - start), 3, colour)
    yield _ring(start, middle)
    yield f'<circle cx="{end:.1f}" cy="{middle:.1f}" r="5" fill="{colour}"/>'


def _numbers(mark: Mark, from_zero: bool) -> str:
    if not from_zero:
        return f"{mark.before * 100:.2f} → {percent(mark.after)} ({mark.change * 100:+.2f})"
    return percent(mark.after) + (f" of {percent(mark.limit)}" if mark.limit is not None else "")


def _ring(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{CARD}" stroke="{INK}" stroke-width="1.5"/>'


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def _text(
    words: str, x: float, y: float, *, size: int = 12, weight: int = 400, fill: str = INK, anchor: str = ""
) -> str:
    end = f' text-anchor="{anchor}"' if anchor else ""
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}{end}>{escape(_printable(words))}</text>'


def _document(parts: Sequence[str], width: float, height: float) -> str:
    around = f'width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"'
    card = f'<rect x="0.5" y="0.5" {around} fill="{CARD}" stroke="{EDGE}"/>'
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    font = 'font-family="Inter, system-ui, Helvetica, Arial, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{card}{"".join(parts)}</svg>'


# text


def _lines(label: str) -> list[str]:
    return textwrap.wrap(_printable(label), LABEL) or [""]


def _width(line: str) -> float:
    """About how wide a line is drawn, in pixels; the characters of some scripts take the room of two."""
    return LETTER * sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def _printable(words: str) -> str:
    """Text without what an XML document may not hold."""
    return "".join(letter if letter.isprintable() else "�" for letter in words)
