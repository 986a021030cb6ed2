"""How fast the nearest weights under all limits at once are, beside general solvers, in one process.

`python -m tests.benchmarks.bench_nearest [PORTFOLIOS]` prints three Markdown tables.

One long-short portfolio of 500 and of 3,000 names: a cap on each, 40 buckets, net, gross, turnover. Ours is
`core.constraints.newton`, PIQP gets the sparse quadratic program in units of 1/n at a tolerance of 1e-9, cvxpy builds
and solves with Clarabel at its own. Each contender builds its problem from the same arrays in every round, twice, and
the second time counts: the first finds what another left in the caches. Medians of the rounds' ratios, and their range.
Violation: by how much the worst limit is exceeded.

A thousand such portfolios of 500 names: `ConstraintSet.apply`, and the check of `core.results.verify` that shares no
code with it. Every group breaches after the chain, so that all are solved. Beside the wall clock stands the time that
all processors together have worked for it: on a machine with other work, the nearer of the two to what it costs.
"""

import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import cvxpy as cp
import numpy as np
import piqp
import polars as pl
from scipy import sparse

from core.constraints import (
    ConstraintSet,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
)
from core.constraints.forms import Floats
from core.constraints.newton import SOLVED, solved_together
from core.constraints.panel import GROUP, ROW, Panel
from core.constraints.separable import Separable
from core.constraints.together import solve_together
from core.limits import RebalancingLimits
from core.results.verify import breaches
from tests.benchmarks.bench_constraints import Ratios

BUCKETS, ROUNDS = 40, 9
PORTFOLIOS, NAMES = 1_000, 500
NET, GROSS, TURNOVER, OF_BUCKET = 0.02, 1.0, 0.25, 1.5  # OF_BUCKET: times the average bucket


@dataclass(frozen=True)
class Book:
    """One portfolio: wanted and current weights, the number of each name's bucket, and the limits on both."""

    wanted: Floats
    current: Floats
    bucket: np.ndarray
    cap: float
    of_bucket: float


def book(names: int, seed: int) -> Book:
    """Today near the limits, and wanted well beyond: gross 1.4, a tilt to the long side, some names above the cap."""
    rng = np.random.default_rng(seed)
    cap = 3.0 / names
    today = rng.standard_normal(names)
    today = np.clip(today * (0.95 / np.abs(today).sum()), -cap, cap)
    wanted = today + (rng.standard_normal(names) * 0.5 + 0.3) / names
    wanted *= 1.4 / np.abs(wanted).sum()
    return Book(wanted, today - today.mean(), np.arange(names) % BUCKETS, cap, OF_BUCKET * GROSS / BUCKETS)


def violation(book: Book, weights: Floats) -> float:
    """By how much the worst limit is exceeded."""
    of_bucket = np.bincount(book.bucket, np.abs(weights)).max() - book.of_bucket
    turnover = np.abs(weights - book.current).sum() / 2 - TURNOVER
    others = abs(weights.sum()) - NET, np.abs(weights).sum() - GROSS, np.abs(weights).max() - book.cap
    return float(max(of_bucket, turnover, *others))


# the contenders: from the arrays of a book to its weights


def ours(book: Book) -> Floats:
    """All groups at once, of which there is one."""
    names, one = len(book.wanted), np.ones(len(book.wanted))
    problem = Separable(
        book.wanted, book.current, -book.cap * one, book.cap * one,
        cell=book.bucket, group=np.zeros(BUCKETS, dtype=np.intp), most=np.full(BUCKETS, book.of_bucket),
        least=np.array([[-NET, -np.inf, -np.inf]]), greatest=np.array([[NET, GROSS, TURNOVER]]),
    )  # fmt: skip
    found = solved_together(problem)
    assert len(found.weights) == names
    assert found.state[0] == SOLVED
    return found.weights


def by_piqp(book: Book) -> Floats:
    """Sizes and trades as columns of their own."""
    n = len(book.wanted)
    one, none = sparse.identity(n, format="csc"), sparse.csc_matrix((n, n))
    row, zeros = sparse.csc_matrix(np.ones((1, n))), sparse.csc_matrix((1, n))
    members = sparse.csc_matrix((np.ones(n), (book.bucket, np.arange(n))), shape=(BUCKETS, n))
    left = sparse.bmat(
        [
            [one, -one, None], [-one, -one, None], [one, None, -one], [-one, None, -one],
            [row, zeros, zeros], [zeros, row, zeros], [zeros, zeros, 0.5 * row],
            [sparse.csc_matrix((BUCKETS, n)), members, sparse.csc_matrix((BUCKETS, n))],
        ],
        format="csc",
    )  # fmt: skip
    free = np.full(2 * n, 1e30)
    upper = [np.zeros(2 * n), n * book.current, -n * book.current, [n * NET, n * GROSS, n * TURNOVER]]
    upper.append(np.full(BUCKETS, n * book.of_bucket))
    high = np.concatenate(upper)
    low = np.full(len(high), -1e30)
    low[4 * n] = -n * NET
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_rel = 1e-9
    solver.setup(
        sparse.block_diag([one, none, none], format="csc"), np.concatenate([-n * book.wanted, np.zeros(2 * n)]),
        None, None, left, low, high, np.concatenate([np.full(n, -n * book.cap), -free]),
        np.concatenate([np.full(n, n * book.cap), free]),
    )  # fmt: skip
    solver.solve()
    return np.array(solver.result.x[:n]) / n


def by_cvxpy(book: Book) -> Floats:
    """As one writes it down, in units of 1/n."""
    n = len(book.wanted)
    x = cp.Variable(n)
    members = sparse.csr_matrix((np.ones(n), (book.bucket, np.arange(n))), shape=(BUCKETS, n))
    limits = [
        cp.abs(x) <= n * book.cap, cp.abs(cp.sum(x)) <= n * NET, cp.norm1(x) <= n * GROSS,
        0.5 * cp.norm1(x - n * book.current) <= n * TURNOVER, members @ cp.abs(x) <= n * book.of_bucket,
    ]  # fmt: skip
    cp.Problem(cp.Minimize(0.5 * cp.sum_squares(x - n * book.wanted)), limits).solve(solver=cp.CLARABEL)
    return x.value / n


CONTENDERS: dict[str, tuple[Callable[[Book], Floats], float]] = {
    "Newton": (ours, 0.0), "PIQP": (by_piqp, 5.0), "cvxpy + Clarabel": (by_cvxpy, 20.0),
}  # fmt: skip


def race(names: int) -> None:
    """The rows of one size."""
    given = book(names, 0)
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    worst = {name: violation(given, contender(given)) for name, (contender, _) in CONTENDERS.items()}
    for _ in range(ROUNDS):
        for name, (contender, _) in CONTENDERS.items():
            contender(given)
            start = perf_counter()
            contender(given)
            times[name].append(perf_counter() - start)
    for name, (_, target) in CONTENDERS.items():
        ratios = Ratios([theirs / own for theirs, own in zip(times[name], times["Newton"], strict=True)])
        met = median(ratios.rounds) >= target if target else worst[name] <= 1e-9
        verdict = ("met" if met else "missed") if names == NAMES else ""
        asked = f"{target:g} times: {verdict}" if target else f"violation 1e-9: {verdict}"
        milliseconds = 1000 * median(times[name])
        told = asked if verdict else ""
        print(f"| {names:,} | {name} | {milliseconds:.1f} | {ratios} | {worst[name]:.0e} | {told} |")


# a thousand portfolios


def panel(portfolios: int) -> pl.DataFrame:
    """The rows of many books, sorted by portfolio and symbol, with what verification reads."""
    books = [book(NAMES, seed) for seed in range(portfolios)]
    symbols = pl.Series([f"S{at:05}" for at in range(NAMES)])
    labels = pl.Series([f"bucket {at:02}" for at in range(BUCKETS)]).gather(books[0].bucket)
    names = np.tile(np.arange(NAMES), portfolios)
    portfolio = pl.Series([f"P{at:05}" for at in range(portfolios)])
    return pl.DataFrame(
        {
            "portfolio_id": portfolio.gather(np.repeat(np.arange(portfolios), NAMES)).set_sorted(),
            "symbol": symbols.gather(names),
            "bucket": labels.gather(names),
            "weight": np.concatenate([each.wanted for each in books]),
            "current_weight": np.concatenate([each.current for each in books]),
        }
    ).select(pl.col("portfolio_id"), pl.lit(dt.date(2026, 1, 5)).alias("as_of"), pl.exclude("portfolio_id"))


def limits() -> ConstraintSet:
    """Those of a book, in an order in which a later one undoes an earlier one."""
    return ConstraintSet(
        [
            TurnoverConstraint(TURNOVER),
            MaxGrossExposureConstraint(GROSS),
            MaxPositionConstraint(3.0 / NAMES),
            MaxBucketWeightConstraint(OF_BUCKET * GROSS / BUCKETS),
            NetExposureConstraint(-NET, NET),
        ]
    )


def verified(constrained: pl.DataFrame, constraints: ConstraintSet) -> pl.DataFrame:
    """The breaches that verification finds."""
    rows = constrained.rename({"weight": "target_weight"}).with_columns(
        held=pl.lit(True), fixed=pl.lit(False), rejected_by=pl.lit(None, pl.String)
    )
    runs = constrained.select("portfolio_id", "as_of").unique(maintain_order=True)
    many = RebalancingLimits(max_total_positions=NAMES, max_new_positions=NAMES, total_is_hard=False)
    return breaches(rows, runs, constraints.constraints, many)


def timed(name: str, call: Callable[[], object], target: float = 0.0) -> None:
    """One row: the wall clock and the work of a step, medians of the rounds."""
    took = []
    for _ in range(ROUNDS):
        wall, work = perf_counter(), process_time()
        call()
        took.append((perf_counter() - wall, process_time() - work))
    wall, work = (median(times) for times in zip(*took, strict=True))
    spread = f"{min(took)[0]:.2f} to {max(took)[0]:.2f}"
    verdict = f"{target:g} s: {'met' if wall <= target else 'missed'}" if target else ""
    print(f"| {name} | {wall:.2f} ({spread}) | {work:.2f} | {verdict} |", flush=True)


def whole(portfolios: int) -> None:
    """The table of many portfolios."""
    weights, constraints = panel(portfolios), limits()
    keys = ["portfolio_id", "as_of"]
    first = constraints.apply(weights, by=keys)
    counted = dict(first.solved["solver"].value_counts().rows())
    worst = verified(first.weights, constraints).height
    print(f"\n{portfolios:,} portfolios × {NAMES} names: solved {counted}, infeasible {first.infeasible.height}, ")
    print(f"breaches {worst}\n\n| step | s | s of work | target |\n| --- | --: | --: | --- |")
    rows = Panel.of(weights, keys, ("bucket", "current_weight")).rows.with_row_index(ROW)
    timed("apply and verify", lambda: verified(constraints.apply(weights, by=keys).weights, constraints), 1.5)
    timed("apply: chain, checks, exact solution, checks", lambda: constraints.apply(weights, by=keys))
    timed("of which all groups solved together", lambda: solve_together(rows, constraints.constraints))
    timed("verify", lambda: verified(first.weights, constraints))
    timed("every action of every name", lambda: constraints.apply(weights, by=keys).actions)
    assert rows[GROUP].n_unique() == portfolios


def main(portfolios: int) -> None:
    """Print the tables."""
    print("| names | solver | ms | times ours | violation | target |")
    print("| --: | --- | --: | --: | --: | --- |")
    for names in (NAMES, 3_000):
        race(names)
    whole(portfolios)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PORTFOLIOS)
