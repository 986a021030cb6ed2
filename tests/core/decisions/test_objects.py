"""What people hand in as objects: used as it is meant, or refused with what to give instead."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from core import AssetPriority, AssetScore, BucketManager, CoreRebalancerEngine, InputError
from core.decisions.objects import finite, require_usable

ASSET = AssetScore("AAA", 0.8, AssetPriority.TRENDING, 0.1)
DAY = dt.date(2026, 11, 20)
ENGINE = CoreRebalancerEngine(BucketManager({"Energy": ["AAA"]}))


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        ("asset", ""),
        ("asset", "$CASH"),
        ("asset", 12),
        ("asset", "\ud800"),
        ("combined_score", "0.8"),
        ("combined_score", True),
        ("combined_score", float("inf")),
        ("combined_score", 10**400),
        ("position_size_percentage", "5%"),
        ("position_size_percentage", float("nan")),
        ("position_size_percentage", Decimal("0.1")),
        ("priority", "trending"),
        ("confidence", float("nan")),
        ("previous_allocation", b"0.1"),
        ("scoring_reason", None),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(field, odd):
    with pytest.raises(InputError, match="give"):
        require_usable([replace(ASSET, **{field: odd})])


def test_a_score_may_be_missing_and_numbers_of_numpy_are_numbers():
    require_usable([replace(ASSET, combined_score=float("nan"), position_size_percentage=np.float32(0.5))])
    assert finite("it", np.int64(2), "a number") == 2.0


@pytest.mark.parametrize("odd", [None, "AAA", [None], ["AAA"], 3])
def test_what_is_no_list_of_assets_is_refused(odd):
    with pytest.raises(InputError, match="AssetScore"):
        require_usable(odd)


@pytest.mark.parametrize(
    ("argument", "odd"),
    [
        ("as_of", "2026-11-20"),
        ("as_of", dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)),
        ("current_positions", ["AAA"]),
        ("current_positions", {"AAA": "10%"}),
        ("current_positions", {None: 0.1}),
        ("limits", None),
        ("candidates", "AAA"),
        ("candidates", {"AAA": "trending"}),
        ("signal_values", {"technical": 0.5}),
        ("signal_values", {"technical": {"AAA": "high"}}),
        ("signal_values", "technical"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused(argument, odd):
    given = {"as_of": DAY, "current_positions": {}, "candidates": ["AAA"], "signal_values": {}}
    with pytest.raises(InputError, match="give"):
        ENGINE.plan(**given | {argument: odd})


@pytest.mark.parametrize("odd", [{"Energy": None}, {"Energy": [1]}, {1: ["AAA"]}])
def test_buckets_that_cannot_be_meant_are_refused(odd):
    with pytest.raises(InputError, match="give"):
        BucketManager(odd)


def test_a_long_text_is_told_in_part():
    with pytest.raises(InputError) as refusal:
        require_usable([ASSET, replace(ASSET, asset="X" * 10_000), replace(ASSET, asset="X" * 10_000)])
    assert len(str(refusal.value)) < 200
