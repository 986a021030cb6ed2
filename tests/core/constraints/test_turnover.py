import pytest

from core.constraints import TurnoverConstraint
from core.errors import ConfigurationError, InvalidWeightsError
from tests.core.constraints.family import names_of
from tests.core.constraints.frames import listed, weights_of


def test_every_trade_is_scaled_by_one_factor() -> None:
    weights = weights_of([0.75, 0.25], current_weight=[0.25, 0.75])  # turnover 0.5: half of it is allowed
    assert listed(TurnoverConstraint(0.25).apply(weights)) == [0.5, 0.5]


def test_turnover_within_the_limit_changes_no_bit() -> None:
    weights = weights_of([0.1, 0.2, 1 / 3], current_weight=[0.3, 0.1, 0.2])
    assert TurnoverConstraint(0.5).apply(weights).equals(weights)


def test_frozen_names_use_up_their_part() -> None:
    weights = weights_of([0.5, 0.75, 0.0], current_weight=[0.25, 0.25, 0.5], frozen=[True, False, False])
    assert listed(TurnoverConstraint(0.375).apply(weights)) == [0.5, 0.5, 0.25]


def test_where_frozen_names_use_up_all_the_others_do_not_trade() -> None:
    weights = weights_of([0.9, 0.75], current_weight=[0.1, 0.25], frozen=[True, False])
    assert listed(TurnoverConstraint(0.25).apply(weights)) == [0.9, 0.25]


def test_a_breach_tells_half_the_sum_of_all_trades() -> None:
    weights = weights_of([0.5, 0.0, None], current_weight=[0.0, -0.5, 0.3])
    breach = TurnoverConstraint(0.25).breaches(weights)
    assert breach.drop("end_time").rows() == [("turnover", "", 0.25, 0.5, 0.25)]


def test_the_solver_is_told_of_the_distance_from_the_current_weights() -> None:
    group = weights_of([0.5, 0.0], bucket=["x", "x"], current_weight=[0.0, 0.5])
    (limit,) = TurnoverConstraint(0.25).limits(names_of(group))
    assert limit.excess(names_of(group).wanted) == 0.25
    assert limit.excess(names_of(group).current) == -0.25
    assert not limit.discrete


def test_current_weights_must_be_there() -> None:
    with pytest.raises(InvalidWeightsError, match="no column 'current_weight'"):
        TurnoverConstraint(0.1).apply(weights_of([0.5]))


def test_a_turnover_can_be_hard_or_soft_but_not_no_worse() -> None:
    with pytest.raises(ConfigurationError, match="turnover cannot be no_worse: its mode is hard or soft"):
        TurnoverConstraint(0.1, mode="no_worse")


@pytest.mark.parametrize("limit", [0.0, -0.1, float("nan"), True])
def test_a_limit_that_cannot_be_meant_is_refused_by_name(limit: float) -> None:
    with pytest.raises(ConfigurationError, match="max_turnover"):
        TurnoverConstraint(limit)


def test_the_statement_speaks_plainly() -> None:
    assert TurnoverConstraint(0.2).statement == "turnover at most 20 % of net asset value"
