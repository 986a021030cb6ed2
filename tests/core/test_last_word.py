"""What is published meets every limit, whatever the code that makes the weights does, claims, or keeps to itself.

Two portfolios hold books that are alike, of names of their own: 45 % and 30 % long of one bucket, 15 % short of another
are wanted, 20 % of each are held. In each test some part lies about `crooked` alone: it is refused, with the breach,
and `honest`, under the same limits, is published.
"""

import datetime as dt
import shutil
from contextlib import suppress
from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest

from core import (
    ConstraintSet,
    FrozenNamesConstraint,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinBucketWeightConstraint,
    MinGrossExposureConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    Policy,
    RebalancingLimits,
    TurnoverConstraint,
    batch,
    store,
)
from core.batch import Occasion
from core.constraints import constraint_set, exact_groups
from core.constraints.least_squares import BY_ITSELF
from core.constraints.panel import SYMBOL, WEIGHT
from core.errors import PublishingRefusedError
from core.policy import AsProposed, Constraint
from core.schemas import INPUTS, Relaxations

AS_OF = dt.date(2026, 1, 5)
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
NAV, PRICE = 1_000_000.0, 100.0
BOOKS = {"crooked": ("A1", "A2", "B1"), "honest": ("C1", "C2", "D1")}
BUCKETS = {"A": "Alpha", "B": "Beta", "C": "Gamma", "D": "Delta"}
CURRENT, WANTED = (0.2, 0.2, -0.2), (0.45, 0.3, -0.15)
LIED_ABOUT = pl.col(SYMBOL).is_in(BOOKS["crooked"])
LIMITS = RebalancingLimits(
    max_new_positions=0,
    min_score_threshold=0.0,
    max_single_position_pct=1.0,
    target_total_allocation=0.9,
)


def market():
    """The input tables of both portfolios."""
    named = [(book, *name) for book, symbols in BOOKS.items() for name in zip(symbols, CURRENT, WANTED, strict=True)]
    symbols = [symbol for _, symbol, _, _ in named]
    scores = [
        (AS_OF, symbol, signal, place / 10)
        for signal in ("technical", "fundamental")
        for place, symbol in enumerate(symbols)
    ]
    tables = {
        "portfolios": [(book, book, "USD", True) for book in BOOKS],
        "positions": [(book, AS_OF, symbol, current * NAV / PRICE) for book, symbol, current, _ in named],
        "cash": [(book, AS_OF, NAV * (1 - sum(CURRENT))) for book in BOOKS],
        "assets": [(symbol, symbol, BUCKETS[symbol[0]], True, "USD") for symbol in symbols],
        "prices": [(AS_OF, symbol, PRICE, None) for symbol in symbols],
        "signals": [*scores, *((AS_OF, symbol, "proposed_weight", wanted) for _, symbol, _, wanted in named)],
    }
    return {name: pl.DataFrame(rows, INPUTS[name].create_empty().schema, orient="row") for name, rows in tables.items()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory, sqlite_template):
    """An SQLite file with the market, to copy."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("last_word"))
    engine = store.engine_from_url(f"sqlite:///{path}")
    store.load_frames(engine, market())
    engine.dispose()
    return path


@pytest.fixture
def database(filled, tmp_path):
    return store.engine_from_url(f"sqlite:///{shutil.copy(filled, tmp_path)}")


def run(database, tmp_path, constraints, limits=LIMITS):
    policy = Policy(name="test", limits=limits, sizing=AsProposed(), constraints=constraints)
    occasion = Occasion(policy, AS_OF, "batch", NOON)
    return batch.rebalance(database, tmp_path / "targets", occasion, clock=lambda: NOON)


def run_id(database, portfolio_id):
    return store.read_runs(database, AS_OF, portfolio_id)["run_id"].item()


def assert_only_crooked_is_refused(report, database, tmp_path):
    """No target of `crooked` is in the report, in SQL or among the files; those of `honest` are in all three."""
    assert {told.portfolio_id: told.outcome for told in report.outcomes} == {
        "crooked": "refused",
        "honest": "published",
    }
    assert set(report.targets["portfolio_id"]) == {"honest"}
    for table in ("targets", "explanations", "bucket_statistics"):
        assert store.run_rows(database, table, run_id(database, "crooked")).is_empty()
    assert set(store.read_current(database)["portfolio_id"]) == {"honest"}
    (file,) = (tmp_path / "targets").glob("as_of=*/*/*")
    assert run_id(database, "honest") in file.name


def breached(database):
    """The kinds of limits that the refused run of `crooked` breaches."""
    return {*store.run_rows(database, "breaches", run_id(database, "crooked"))["constraint"]}


def weights(report, portfolio_id):
    return report.targets.filter(~pl.col("is_cash"), portfolio_id=portfolio_id)["target_weight"].to_list()


# constraints that lie


def lie(monkeypatch, kind):
    """Make all constraints of a class do nothing to the names of `crooked`, and report nothing of them."""
    honest = {name: kind.__dict__.get(name, getattr(kind, name)) for name in ("adjusted", "limits", "breaches_of")}
    ceilings = kind.ceilings.fget

    def adjusted(self, rows, fixed):
        handed_in = rows.with_columns(handed_in=WEIGHT)
        filled = ceilings(self)
        step = honest["adjusted"](self, handed_in, fixed) if filled is None else filled.filled(handed_in, fixed)
        kept = pl.when(LIED_ABOUT).then("handed_in").otherwise(WEIGHT)
        return step.with_columns(kept.alias(WEIGHT)).drop("handed_in")

    def limits(self, names):
        return [] if names.listed(BOOKS["crooked"]).any() else honest["limits"](self, names)

    def breaches_of(self, panel):
        found = honest["breaches_of"](self, panel)
        symbols = panel.rows[SYMBOL].gather(found["row"])
        return found.filter(~symbols.is_in(BOOKS["crooked"]))

    for name, lying in (("adjusted", adjusted), ("limits", limits), ("breaches_of", breaches_of)):
        monkeypatch.setattr(kind, name, lying)
    monkeypatch.setattr(kind, "ceilings", None)


BINDING = {
    "long_only": [LongOnlyConstraint()],
    "market_neutral": [MarketNeutralConstraint()],
    "max_gross_exposure": [MaxGrossExposureConstraint(0.8)],
    "min_gross_exposure": [MinGrossExposureConstraint(0.95)],
    "max_position": [MaxPositionConstraint(0.4)],
    "max_bucket_weight": [MaxBucketWeightConstraint({"Alpha": 0.7, "Gamma": 0.7})],
    "min_bucket_weight": [MinBucketWeightConstraint(0.2)],
    "net_exposure": [NetExposureConstraint(maximum=0.5)],
    "turnover": [TurnoverConstraint(0.1)],
    "max_positions": [MaxPositionsConstraint(2)],
    "min_position_weight": [MinPositionWeightConstraint(0.2)],
    "min_buckets_represented": [MaxPositionsConstraint(2), MinBucketsConstraint(2)],  # the two largest are of one
    "name_limits": [NameLimitsConstraint({"A1": NameLimit(maximum=0.4), "C1": NameLimit(maximum=0.4)})],
    "frozen_names": [FrozenNamesConstraint(("A1", "C1"))],
}
"""By kind, constraints of which the one of that kind changes the wanted weights of both portfolios."""


@pytest.mark.parametrize("kind", get_args(Constraint), ids=lambda kind: kind.kind)
def test_a_constraint_that_does_nothing_and_reports_nothing_publishes_nothing(kind, database, tmp_path, monkeypatch):
    lie(monkeypatch, kind)
    report = run(database, tmp_path, BINDING[kind.kind])
    assert_only_crooked_is_refused(report, database, tmp_path)
    assert breached(database) == {kind.kind}
    assert weights(report, "honest") != pytest.approx(list(WANTED))


@pytest.mark.parametrize("kind", get_args(Constraint), ids=lambda kind: kind.kind)
def test_without_the_lie_both_portfolios_are_published(kind, database, tmp_path):
    report = run(database, tmp_path, BINDING[kind.kind])
    assert weights(report, "crooked") == pytest.approx(weights(report, "honest"), abs=1e-12)
    assert len(weights(report, "crooked")) == 3


# an exact solution that is none

NEEDS_A_SOLUTION = [MaxPositionConstraint(0.25), MarketNeutralConstraint()]  # each undoes the other


def answer_with(monkeypatch, made_up):
    """Make both exact solvers answer for `crooked` with weights made up from the wanted and the right ones."""
    honest, honest_together = exact_groups.solve, exact_groups.solve_together

    def solve(problem):
        answer = honest(problem)
        if not problem.names.listed(BOOKS["crooked"]).any():
            return answer
        made = made_up(problem.names.wanted, answer.weights)
        return replace(answer, weights=made, changes={BY_ITSELF: made - problem.names.wanted})

    def solve_together(rows, constraints):
        found = honest_together(rows, constraints)
        made = made_up(found.rows.wanted, found.weights)
        return replace(found, weights=np.where(found.rows.listed(BOOKS["crooked"]), made, found.weights))

    monkeypatch.setattr(exact_groups, "solve", solve)
    monkeypatch.setattr(exact_groups, "solve_together", solve_together)


MADE_UP = {
    "the wanted weights": lambda wanted, _: wanted,
    "weights a millionth off": lambda _, right: right + 1e-6,
    "weights that are none": lambda _, right: right * float("nan"),
}


@pytest.mark.parametrize("made_up", MADE_UP.values(), ids=MADE_UP)
def test_a_wrong_exact_solution_is_no_solution(made_up, database, tmp_path, monkeypatch):
    answer_with(monkeypatch, made_up)
    report = run(database, tmp_path, NEEDS_A_SOLUTION)
    assert_only_crooked_is_refused(report, database, tmp_path)
    assert weights(report, "honest") == pytest.approx([0.2, 0.05, -0.25])


@pytest.mark.parametrize("made_up", ["the wanted weights", "weights a millionth off"])
def test_a_wrong_exact_solution_that_nobody_checks_is_a_breach(made_up, database, tmp_path, monkeypatch):
    answer_with(monkeypatch, MADE_UP[made_up])
    told = constraint_set._unsolved
    monkeypatch.setattr(constraint_set, "_unsolved", lambda panel, _: told(panel, []))
    report = run(database, tmp_path, NEEDS_A_SOLUTION)
    assert_only_crooked_is_refused(report, database, tmp_path)
    assert "market_neutral" in breached(database)


# a ledger that lies


def claim(monkeypatch, **claims):
    """Put a row that claims a relaxation of `max_position` for `crooked` into the ledger."""
    honest = ConstraintSet.apply
    row = {"portfolio_id": "crooked", "as_of": AS_OF, "constraint": "max_position", "scope": "", "limit": 0.4}
    ledger = Relaxations.cast(pl.DataFrame([row | {"reason": "so it is"} | claims]).select(Relaxations.column_names()))

    def apply(self, weights, by="end_time"):
        return replace(honest(self, weights, by), relaxations=ledger)

    monkeypatch.setattr(ConstraintSet, "apply", apply)


def soft(max_relaxation):
    return MaxPositionConstraint(0.4, mode="soft", priority=1, max_relaxation=max_relaxation)


LIES = {
    "more than the policy allows": (soft(0.02), {"used": 0.45}),
    "a limit that is hard": (MaxPositionConstraint(0.4), {"used": 0.45}),
    "a limit of another value": (soft(0.1), {"limit": 0.42, "used": 0.45}),
    "a limit of another scope": (soft(0.1), {"scope": "A1", "used": 0.45}),
    "a limit of another kind": (soft(0.1), {"constraint": "max_gross_exposure", "used": 0.45}),
    "a limit of another portfolio": (soft(0.1), {"portfolio_id": "honest", "used": 0.45}),
    "less than the weights take": (soft(0.1), {"used": 0.42}),
}


@pytest.mark.parametrize(("constraint", "claims"), LIES.values(), ids=LIES)
def test_a_ledger_grants_nothing_by_lying(constraint, claims, database, tmp_path, monkeypatch):
    lie(monkeypatch, MaxPositionConstraint)
    claim(monkeypatch, **claims)
    report = run(database, tmp_path, [constraint])
    assert_only_crooked_is_refused(report, database, tmp_path)
    assert breached(database) == {"max_position"}


def test_a_ledger_row_that_tightens_a_limit_grants_nothing(database, tmp_path, monkeypatch):
    lie(monkeypatch, MaxPositionConstraint)
    claim(monkeypatch, used=0.35)
    assert_only_crooked_is_refused(run(database, tmp_path, [soft(0.1)]), database, tmp_path)


def test_a_ledger_within_the_policy_grants_what_it_says(database, tmp_path, monkeypatch):
    lie(monkeypatch, MaxPositionConstraint)
    claim(monkeypatch, used=0.45)
    report = run(database, tmp_path, [soft(0.1)])
    assert weights(report, "crooked") == pytest.approx(list(WANTED))


# weights that move after the verification


def tampered(targets, by):
    own = ~pl.col("is_cash") & (pl.col("portfolio_id") == "crooked")
    return targets.with_columns(target_weight=pl.when(own).then(by).otherwise("target_weight"))


TAMPERINGS = {
    "doubled": pl.col("target_weight") * 2,
    "rounded": pl.col("target_weight").round(1),
    "rounded to four places": (pl.col("target_weight") + 0.00003).round(4),
}


@pytest.mark.parametrize("by", TAMPERINGS.values(), ids=TAMPERINGS)
def test_targets_other_than_the_verified_weights_are_not_published(by, database, tmp_path, monkeypatch):
    honest = batch.decided

    def decided(*given):
        plan = honest(*given)
        return replace(plan, targets=tampered(plan.targets, by))

    monkeypatch.setattr(batch, "decided", decided)
    with suppress(PublishingRefusedError):
        run(database, tmp_path, [MaxPositionConstraint(0.33333)])
    assert "crooked" not in {*store.read_current(database)["portfolio_id"]}
