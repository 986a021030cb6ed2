from itertools import combinations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.actions import sentences
from core.decisions.bucket_limits_enforcer import enforce_bucket_limits
from core.decisions.selection import chosen, chosen_per_side, unmet_buckets
from core.limits import RebalancingLimits
from tests.core.decisions.build import kept, rejections, rows
from tests.effort import examples

BUCKETS = RebalancingLimits(enable_bucket_diversification=True, min_buckets_represented=2)


def limits(**changes):
    return RebalancingLimits(**({"enable_bucket_diversification": True} | changes))


def test_best_new_names_enter_up_to_their_number():
    step = chosen(rows("A1 .9", "A2 .8", "A3 .7"), RebalancingLimits(max_new_positions=2))
    assert kept(step) == ["A1", "A2"]
    assert rejections(step) == {"A3": "max_new_positions"}


def test_initial_number_of_new_names_holds_where_nothing_is_held():
    few = RebalancingLimits(max_new_positions=1, initial_new_positions=3)
    assert kept(chosen(rows("A1 .9", "A2 .8", "A3 .7"), few)) == ["A1", "A2", "A3"]
    assert kept(chosen(rows("A1 .9", "A2 .8", "A3 .7 held"), few)) == ["A1", "A3"]


def test_held_names_beyond_the_total_are_closed_worst_first():
    step = chosen(rows("A1 .7 held", "A2 .9 held", "A3 .8 held"), RebalancingLimits(max_total_positions=2))
    assert kept(step) == ["A2", "A3"]
    assert sentences(step.actions) == ["A1 rejected: number 3 of at most 2 positions"]


def test_held_names_come_before_better_new_ones():
    step = chosen(rows("A1 .7 held", "A2 .9"), RebalancingLimits(max_total_positions=1))
    assert kept(step) == ["A1"]
    assert rejections(step) == {"A2": "max_total_positions"}


def test_fixed_names_are_first_in_line_whatever_their_score():
    step = chosen(rows("A1 .1 fixed", "A2 .9 held"), RebalancingLimits(max_total_positions=1))
    assert kept(step) == ["A1"]


def test_without_forced_closures_count_limits_bind_new_names_alone():
    protected = RebalancingLimits(max_total_positions=1, allow_forced_closures=False)
    assert kept(chosen(rows("A1 .7 held", "A2 .8 held", "A3 .9"), protected)) == ["A1", "A2"]


def test_a_new_bucket_takes_the_slot_of_the_last_new_name():
    step = chosen(rows("A1 .9", "A2 .8", "B1 .7"), limits(max_new_positions=2))
    assert kept(step) == ["A1", "B1"]
    assert sentences(step.actions)[-1] == "B1 admitted: bucket B is one of at least 2 represented"


def test_a_new_bucket_takes_the_slot_of_the_worst_held_name_only_without_overflow():
    crowd = rows("A1 .9 held", "A2 .8 held", "B1 .7")
    step = chosen(crowd, limits(max_total_positions=2))
    assert kept(step) == ["A1", "B1"]
    assert rejections(step) == {"A2": "min_buckets_represented"}
    assert kept(chosen(crowd, limits(max_total_positions=2, allow_bucket_overflow=True))) == ["A1", "A2"]


def test_a_held_name_of_another_bucket_represents_it_before_a_new_one():
    step = chosen(rows("A1 .9 held", "A2 .8 held", "B1 .7 held", "B2 .95"), limits(max_total_positions=2))
    assert kept(step) == ["A1", "B1"]


def unmet(chosen_rows, config, weight=0.1):
    """The unmet actions of final weights that are the same for every name that is in."""
    inside = pl.col("rejected_by").is_null()
    final = chosen_rows.with_columns(target_weight=pl.when(inside).then(weight).otherwise(0.0))
    runs = chosen_rows.select("portfolio_id", "as_of").unique()
    return unmet_buckets(final, runs, config)


def test_a_held_name_that_represents_its_bucket_is_not_given_up_for_a_new_bucket():
    one_slot = limits(max_total_positions=1, min_buckets_represented=2)
    assert kept(chosen(rows("A1 .7 held", "B1 .9"), one_slot)) == ["A1"]


def test_unknown_is_never_represented():
    step = chosen(rows("A1 .9", "x .8"), limits(min_buckets_represented=2))
    (told,) = unmet(step.rows, limits()).iter_rows(named=True)
    assert (told["verb"], told["before"], told["limit"]) == ("unmet", 1.0, 2.0)
    assert told["detail"] == "no other bucket has a candidate with a score"


def test_unmet_names_the_nearest_way_out():
    judged = rows("A1 .9", "B1 .61").with_columns(
        rejected_by=pl.when(symbol="B1").then(pl.lit("min_score_new_position"))
    )
    told = unmet(chosen(judged, limits()).rows, limits())
    assert told["detail"].to_list() == ["best candidate of B scores 0.6100, entry threshold 0.6500"]


def test_unmet_names_the_limit_that_leaves_no_slot():
    step = chosen(rows("A1 .9 held", "B1 .8"), limits(max_new_positions=0))
    told = unmet(step.rows, limits())
    assert told["detail"].to_list() == ["best candidate of B scores 0.8000, rejected by max_new_positions"]


def test_names_that_end_too_small_represent_nothing():
    step = chosen(rows("A1 .9", "B1 .8"), limits())
    assert unmet(step.rows, limits()).is_empty()
    told = unmet(step.rows, limits(), weight=0.0009)
    assert told["detail"].to_list() == ["best candidate of A scores 0.9000, but its weight is too small"]


def test_a_run_without_any_row_represents_nothing():
    nothing = rows("A1 .9").with_columns(target_weight=0.0)
    runs = nothing.select("portfolio_id", "as_of")
    assert unmet_buckets(nothing.clear(), runs, limits())["before"].to_list() == [0.0]


def test_each_side_of_a_long_short_book_takes_its_best():
    two_sided = rows("A1 .9", "A2 .8", "B1 .9", "B2 .7").with_columns(
        side=pl.when(pl.col("bucket") == "B").then(-1).otherwise(1).cast(pl.Int8)
    )
    step = chosen_per_side(two_sided, 1)
    assert kept(step) == ["A1", "B1"]
    assert rejections(step) == {"A2": "long_short", "B2": "long_short"}
    assert "A2 rejected: number 2 on its side, which takes 1" in sentences(step.actions)


def test_a_fixed_name_takes_a_slot_of_its_side():
    step = chosen_per_side(rows("A1 .9", "A2 .8", "A3 - fixed"), 2)
    assert kept(step) == ["A1", "A3"]


@pytest.mark.parametrize("count", [1, 3])
def test_runs_of_a_batch_are_chosen_apart(count):
    batch = pl.concat([rows("A1 .9", "A2 .8", "B1 .7", portfolio_id=f"p{i}") for i in range(count)])
    step = chosen(batch, limits(max_new_positions=2))
    assert kept(step) == ["A1", "B1"] * count


# The oracle: try every set of names, drop those that break a limit, and take the best in the specification's order.


def by_brute_force(names, bounds):
    """`names`: (symbol, score, state) with state in new, held, fixed. Returns the best set of symbols."""
    fixed = [name for name in names if name[2] == "fixed"]
    movable = [name for name in names if name[2] != "fixed"]
    sets = (fixed + list(extra) for size in range(len(movable) + 1) for extra in combinations(movable, size))
    best = max((choice for choice in sets if allowed(choice, names, bounds)), key=lambda choice: merit(choice, bounds))
    return sorted(name[0] for name in best)


def allowed(choice, names, bounds):
    held = [name for name in names if name[2] == "held"]
    kept_held = [name for name in choice if name[2] == "held"]
    fixed = [name for name in choice if name[2] == "fixed"]
    new = [name for name in choice if name[2] == "new"]
    most_new = bounds["entries"] if held or fixed else bounds["initial"]
    if len(new) > most_new:
        return False
    total = bounds["total"]
    if bounds["forced_closures"]:
        if len(kept_held) > max(total - len(fixed), 0):
            return False
    elif len(kept_held) < len(held):
        return False
    if new and len(choice) > total:
        return False
    if bounds["overflow"] and bounds["forced_closures"]:
        # no held name gives way: the best of them stay, as many as there are slots
        stay = sorted(held, key=lambda name: (-name[1], name[0]))[: max(total - len(fixed), 0)]
        if sorted(stay) != sorted(kept_held):
            return False
    return all(bucket_allowed(letter, choice, bounds) for letter in "ABCx")


def bucket_allowed(letter, choice, bounds):
    inside = [name for name in choice if name[0][0] == letter]
    held = [name for name in inside if name[2] == "held"]
    fixed = [name for name in inside if name[2] == "fixed"]
    protected = bounds["overflow"] or not bounds["forced_closures"]
    room = max(bounds["bucket"], len(held) + len(fixed)) if protected else max(bounds["bucket"], len(fixed))
    return len(inside) <= room


def merit(choice, bounds):
    represented = len({name[0][0] for name in choice} - {"x"})
    held = sorted((-name[1], name[0]) for name in choice if name[2] == "held")
    new = sorted((-name[1], name[0]) for name in choice if name[2] == "new")
    return (
        min(represented, bounds["buckets"]),
        len(held),
        -sum(score for score, _ in held),
        len(new),
        -sum(score for score, _ in new),
        Earlier(held + new),
    )


class Earlier(list):
    """Names in line compare so that the earlier name is the better one."""

    def __gt__(self, other):
        return list.__lt__(self, other)

    def __lt__(self, other):
        return list.__gt__(self, other)


SYMBOLS = ["A1", "A2", "A3", "B1", "B2", "B3", "C1", "C2", "x1"]


@st.composite
def problems(draw):
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1, max_size=8))
    state = st.sampled_from(["new", "new", "held", "held", "fixed"])
    names = [(symbol, draw(st.integers(1, 8)) / 8, draw(state)) for symbol in sorted(symbols)]
    bounds = {
        "total": draw(st.integers(1, 6)),
        "entries": draw(st.integers(0, 3)),
        "initial": draw(st.integers(0, 5)),
        "bucket": draw(st.integers(1, 3)),
        "buckets": draw(st.integers(0, 4)),
        "overflow": draw(st.booleans()),
        "forced_closures": draw(st.booleans()),
    }
    return names, bounds


@settings(max_examples=examples(60), deadline=None)
@given(problems())
def test_choice_is_the_best_of_all_that_the_limits_allow(problem):
    names, bounds = problem
    config = RebalancingLimits(
        enable_bucket_diversification=True,
        max_total_positions=bounds["total"],
        max_new_positions=bounds["entries"],
        initial_new_positions=bounds["initial"],
        max_positions_per_bucket=bounds["bucket"],
        min_buckets_represented=bounds["buckets"],
        allow_bucket_overflow=bounds["overflow"],
        allow_forced_closures=bounds["forced_closures"],
    )
    universe = rows(*(f"{symbol} {score} {'' if state == 'new' else state}" for symbol, score, state in names))
    enforced = enforce_bucket_limits(universe, config.bucket_limits, protect_held=not config.allow_forced_closures)
    assert kept(chosen(enforced.rows, config)) == by_brute_force(names, bounds)
