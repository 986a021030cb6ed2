"""What an unknown word is told."""

import pytest

from core.errors import nearest_hint


@pytest.mark.parametrize(
    ("word", "known", "told"),
    [
        ("Utilites", ["Utilities", "Energy"], "known: Energy, Utilities. Did you mean 'Utilities'?"),
        ("aapl", ["AAPL", "MSFT"], "known: AAPL, MSFT. Did you mean 'AAPL'?"),
        ("xyz", ["AAPL"], "known: AAPL."),
        ("xyz", [], "none is known."),
    ],
)
def test_the_nearest_of_a_few_known_words_is_told(word, known, told):
    assert nearest_hint(word, known) == told


def test_many_known_words_are_counted_where_one_is_near():
    names = [f"N{number:03}" for number in range(100)]
    assert nearest_hint("N0421", names) == "100 are known. Did you mean 'N042'?"


def test_many_known_words_are_told_in_part_where_none_is_near():
    told = nearest_hint("xyz", [f"N{number:03}" for number in range(100)])
    assert told.startswith("known: N000, N001, ")
    assert told.endswith(", N029 and 70 more.")
