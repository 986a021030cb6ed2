"""Names one by one."""

import numpy as np
import pytest

from core.constraints import FrozenNamesConstraint, NameLimit, NameLimitsConstraint
from core.errors import ConfigurationError, InvalidWeightsError
from tests.core.constraints.family import names_of
from tests.core.constraints.frames import listed, weights_of

RANGES = NameLimitsConstraint({"A": NameLimit(maximum=0.25), "B": NameLimit(0.1, 0.2), "C": NameLimit(minimum=-0.05)})


def test_each_name_is_clipped_to_its_own_range() -> None:
    assert listed(RANGES.apply(weights_of([0.5, 0.05, -0.5, 0.9]))) == [0.25, 0.1, -0.05, 0.9]


def test_a_breach_tells_symbol_and_bound() -> None:
    breaches = RANGES.breaches(weights_of([0.5, 0.35, -0.25])).drop("end_time").rows()
    assert breaches == [
        ("name_limits", "C minimum", -0.05, -0.25, 0.2),
        ("name_limits", "A maximum", 0.25, 0.5, 0.25),
        ("name_limits", "B maximum", 0.2, 0.35, pytest.approx(0.15)),
    ]


def test_a_name_that_a_group_does_not_have_weighs_zero() -> None:
    breaches = RANGES.breaches(weights_of([0.1])).drop("end_time").rows()
    assert breaches == [("name_limits", "B minimum", 0.1, 0.0, 0.1)]


def test_a_missing_weight_weighs_zero_too() -> None:
    assert RANGES.breaches(weights_of([0.1, None]))["scope"].to_list() == ["B minimum"]


def test_a_name_that_is_not_wanted_is_not_bought_for_its_minimum() -> None:
    constraint = NameLimitsConstraint({"A": NameLimit(minimum=0.1)})
    assert listed(constraint.apply(weights_of([0.0]))) == [0.1]
    held = weights_of([0.0], current_weight=[0.2])
    assert constraint.apply(held).equals(held)


def test_todays_weight_may_stay_where_the_range_is_no_worse() -> None:
    constraint = NameLimitsConstraint({"A": NameLimit(0.1, 0.2)}, mode="no_worse")
    above = weights_of([0.5], current_weight=[0.3])
    assert listed(constraint.apply(above)) == [0.3]
    assert constraint.breaches(above)["limit"].to_list() == [0.3]
    below = weights_of([0.01], current_weight=[0.05])
    assert listed(constraint.apply(below)) == [0.05]
    assert constraint.breaches(weights_of([], current_weight=[])).is_empty()


def test_frozen_names_stay_outside_their_range() -> None:
    weights = weights_of([0.5], frozen=[True])
    assert RANGES.apply(weights).equals(weights)


def test_the_solver_has_one_limit_per_symbol_and_bound() -> None:
    names = names_of(weights_of([0.5, 0.3], bucket=list("xx")))
    limits = {limit.scope: limit for limit in RANGES.limits(names)}
    assert list(limits) == ["B minimum", "C minimum", "A maximum", "B maximum"]
    assert limits["A maximum"].excess(names.wanted) == 0.25
    assert limits["B maximum"].excess(np.array([0.0, 0.3])) == pytest.approx(0.1)
    assert limits["B minimum"].excess(np.array([0.0, 0.05])) == pytest.approx(0.05)
    assert (limits["B minimum"].noun, limits["B minimum"].bound) == ("weight of B", "at least ")


def test_for_the_solver_a_minimum_of_a_name_that_is_not_there_cannot_be_met() -> None:
    names = names_of(weights_of([0.5], bucket=["x"]))
    limits = NameLimitsConstraint({"Q": NameLimit(0.1, 0.2)}).limits(names)
    assert [limit.excess(names.wanted) for limit in limits] == [0.1, -0.2]


def test_ranges_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither a minimum nor a maximum"):
        NameLimit()
    with pytest.raises(ConfigurationError, match="minimum of a name is inf"):
        NameLimit(minimum=float("inf"))
    with pytest.raises(ConfigurationError, match=r"minimum of a name is 0.2, above its maximum 0.1: swap them"):
        NameLimit(0.2, 0.1)
    with pytest.raises(ConfigurationError, match="at least one symbol"):
        NameLimitsConstraint({})


def test_a_map_that_changes_later_does_not_change_the_limits() -> None:
    ranges = {"A": NameLimit(maximum=0.1)}
    constraint = NameLimitsConstraint(ranges)
    ranges["A"] = NameLimit(maximum=0.9)
    assert constraint.names == {"A": NameLimit(maximum=0.1)}


def test_listed_names_go_back_to_their_current_weight() -> None:
    constraint = FrozenNamesConstraint(("A", "C"))
    weights = weights_of([0.5, 0.3, None], current_weight=[0.25, 0.1, 0.2])
    assert listed(constraint.apply(weights)) == [0.25, 0.3, None]
    assert constraint.breaches(weights).drop("end_time").rows() == [("frozen_names", "A", 0.25, 0.5, 0.25)]


def test_the_solver_keeps_a_frozen_name_where_it_is() -> None:
    names = names_of(weights_of([0.5, 0.3], bucket=list("xx"), current_weight=[0.25, 0.1]))
    (limit,) = FrozenNamesConstraint(("A", "Q")).limits(names)
    assert (limit.scope, limit.noun, limit.value) == ("A", "A frozen at 25 %", None)
    assert limit.excess(names.wanted) == 0.25
    assert limit.excess(np.array([0.25, 9.9])) == 0.0


def test_frozen_names_need_current_weights() -> None:
    with pytest.raises(InvalidWeightsError, match="no column 'current_weight'"):
        FrozenNamesConstraint(("A",)).apply(weights_of([0.5]))


def test_symbols_are_a_list_of_at_least_one() -> None:
    for symbols in ((), "AAPL"):
        with pytest.raises(ConfigurationError, match="symbols of frozen_names is"):
            FrozenNamesConstraint(symbols)  # type: ignore[arg-type]


def test_statements_speak_plainly() -> None:
    assert RANGES.statement == (
        "positions in their own range of net asset value: A at most 25 %, B from 10 % to 20 %, C at least -5 %"
    )
    assert FrozenNamesConstraint(("B", "A")).statement == "no trade in A, B"
