import pytest

from tasks.labels import shortened


@pytest.mark.parametrize(
    ("portfolios", "told"),
    [
        (["a"], "a"),
        (["a", "b", "c", "d"], "a, b, c, d"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_a_run_names_its_first_portfolios_and_counts_the_rest(portfolios, told):
    assert shortened(portfolios) == told
