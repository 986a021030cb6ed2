import datetime as dt

import polars as pl
import pytest

from core.constraints import MaxGrossExposureConstraint, MaxPositionConstraint, panel
from core.constraints.panel import Panel
from tests.core.constraints.frames import DAY, listed, weights_of

DAYS = [DAY + dt.timedelta(days=at) for at in range(4)]


def days(*order: int) -> pl.DataFrame:
    """Two names of 0.5 and 1.5 on each of some days."""
    return pl.concat(weights_of([0.5, 1.5], day=DAYS[at]) for at in order)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_groups_that_stand_together_stay_where_they_are(order: tuple[int, ...]) -> None:
    assert Panel.of(days(*order), "end_time").order is None


def test_groups_that_are_scattered_are_brought_together_and_back() -> None:
    weights = pl.concat([days(1, 0), days(1).with_columns(symbol=pl.Series(["C", "D"]))])
    scattered = Panel.of(weights, "end_time")
    assert scattered.rows["group"].to_list() == [0, 0, 1, 1, 1, 1]
    assert scattered.restored(scattered.rows["weight"]).equals(weights)
    assert listed(MaxGrossExposureConstraint(2.0).apply(weights)) == [0.25, 0.75, 0.5, 1.5, 0.25, 0.75]


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_pieces_are_cut_between_groups_only(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "PIECE_ROWS", rows)
    assert listed(MaxPositionConstraint(1.0).apply(days(0, 1, 2, 3))) == [1.0, 1.0] * 4
    assert listed(MaxGrossExposureConstraint(1.0).apply(days(3, 2, 1, 0))) == [0.25, 0.75] * 4


def test_breaches_of_a_later_piece_bear_their_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "PIECE_ROWS", 2)
    breaches = MaxPositionConstraint(1.0).breaches(days(2, 0, 1))
    assert breaches.select("end_time", "scope").rows() == [(DAYS[at], "B") for at in (2, 0, 1)]


def test_a_frame_in_chunks_gives_the_same_as_one_in_a_piece() -> None:
    weights = days(0, 1, 2)
    assert weights.n_chunks() > 1
    capped = MaxPositionConstraint(0.7)
    assert capped.apply(weights).equals(capped.apply(weights.rechunk()))


def test_a_wrong_sorted_flag_of_a_part_does_not_spread() -> None:
    weights = pl.concat([days(2), days(0), days(1)], rechunk=False)
    assert listed(MaxGrossExposureConstraint(1.0).apply(weights)) == [0.25, 0.75] * 3
