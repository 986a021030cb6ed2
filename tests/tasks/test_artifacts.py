import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts import aligned, slug


@pytest.mark.parametrize("portfolio_id", ["balanced", "fund-1", "a"])
def test_an_id_that_is_a_key_stays_as_it_is(portfolio_id):
    assert slug(portfolio_id) == portfolio_id


def test_ids_that_look_alike_are_told_apart():
    assert len({slug("Fund A"), slug("fund a"), slug("fund-a"), slug("fund_a")}) == 4


@given(st.text(min_size=1))
def test_any_id_gives_a_key_that_prefect_takes(portfolio_id):
    assert re.fullmatch("[a-z0-9-]+", slug(portfolio_id))


def test_numbers_of_a_column_are_padded_to_end_below_each_other():
    rows = [{"weight": "5.00 %", "amount": "1,200.00"}, {"weight": "–", "amount": "-3.10"}]
    assert aligned(rows) == [
        {"weight": "5.00 %", "amount": "1,200.00"},
        {"weight": "\u2007\u2008\u2007\u2007 –", "amount": "\u2007\u2008\u2007-3.10"},
    ]


def test_words_are_not_padded():
    rows = [{"why": "held", "amount": "1.00"}, {"why": "12.00", "amount": "none of it"}]
    assert aligned(rows) == rows


def test_a_table_without_rows_stays_one():
    assert aligned([]) == []
