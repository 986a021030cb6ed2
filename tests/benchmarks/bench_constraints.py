"""How fast weight constraints are, beside a peer and beside the least that they must do, in one process.

`python -m tests.benchmarks.bench_constraints [ROWS]` prints a Markdown table, for a panel of 12.5 million rows: 2,500
dates of 5,000 names, sorted and flagged so. The limit is `w * c` into a fresh array of the same size. The peer is
`factorium`, which has the same constraints, but checks no input, redistributes nothing and keeps no record. In each of
five rounds a constraint, the peer and the limit run one after another; medians of the rounds' ratios, and their range.

The chain clips, neutralises and scales a panel of gross 1.2 in which every step changes weights and none is undone, so
that no group is left to the exact solver. Its actions, three rows for most names, are made when they are asked for:
the last row shows them. Redistribution stands beside the peer's chain, which only clips.
"""

import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import polars as pl
from factorium.backtest import constraints as peer

from core.constraints import (
    ConstraintSet,
    MarketNeutralConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
)
from core.constraints.forms import Floats

ROWS, NAMES = 12_500_000, 5_000
ROUNDS = 5
GROSS = 1.2  # of the panel; the limit is 1


@dataclass(frozen=True)
class Race:
    """A constraint, what the peer does in its place, and the targets: times faster, and at most times the limit."""

    name: str
    ours: Callable[[], object]
    peers: Callable[[], object] | None = None
    times_faster: float = 0.0
    times_limit: float = float("inf")


@dataclass(frozen=True)
class Ratios:
    """A ratio in each round."""

    rounds: list[float]

    def __str__(self) -> str:
        return f"{median(self.rounds):.1f} ({min(self.rounds):.1f} to {max(self.rounds):.1f})"


def panel(rows: int) -> pl.DataFrame:
    """Random long-short weights of gross 1.2 per date; columns end_time, symbol, weight, sorted by the first two."""
    dates = rows // NAMES
    days = pl.date_range(dt.date(2016, 1, 1), dt.date(2016, 1, 1) + dt.timedelta(days=dates - 1), eager=True)
    symbols = pl.Series([f"S{at:05}" for at in range(NAMES)])
    raw = np.random.default_rng(0).standard_normal((dates, NAMES))
    weight = raw * (GROSS / np.abs(raw).sum(axis=1, keepdims=True))
    return pl.DataFrame(
        {
            "end_time": days.gather(np.repeat(np.arange(dates), NAMES)).set_sorted(),
            "symbol": symbols.gather(np.tile(np.arange(NAMES), dates)),
            "weight": weight.ravel(),
        }
    )


def cap_of(weight: Floats, share: float) -> float:
    """The cap that a share of the names exceeds."""
    return float(np.quantile(np.abs(weight), 1 - share))


def races(weights: pl.DataFrame) -> list[Race]:
    """What is measured."""
    cap, tight = (cap_of(weights["weight"].to_numpy(), share) for share in (0.05, 0.20))
    clip, neutral, gross = (
        MaxPositionConstraint(cap, redistribute=False), MarketNeutralConstraint(), MaxGrossExposureConstraint(1.0),
    )  # fmt: skip
    peer_clip, peer_neutral, peer_gross = (
        peer.MaxPositionConstraint(cap), peer.MarketNeutralConstraint(), peer.MaxGrossExposureConstraint(1.0),
    )  # fmt: skip
    chain = ConstraintSet([clip, neutral, gross])
    fill, fill_more = MaxPositionConstraint(cap), MaxPositionConstraint(tight)

    def peer_chain() -> object:
        return peer_gross.apply(peer_neutral.apply(peer_clip.apply(weights)))

    return [
        Race("gross", lambda: gross.apply(weights), lambda: peer_gross.apply(weights), 4.5, 2.5),
        Race("neutral", lambda: neutral.apply(weights), lambda: peer_neutral.apply(weights), 4.5, 2.5),
        Race("clip", lambda: clip.apply(weights), lambda: peer_clip.apply(weights), 4.5, 2.5),
        Race("chain of the three, checked", lambda: chain.apply(weights), peer_chain, 4.0, 6.0),
        Race("exact redistribution, 5 % capped", lambda: fill.apply(weights), peer_chain, 0.5, 20.0),
        Race("exact redistribution, 20 % capped", lambda: fill_more.apply(weights), peer_chain, 0.5, 20.0),
        Race("the chain with all its actions", lambda: chain.apply(weights).actions),
    ]


def seconds(call: Callable[[], object]) -> float:
    """The time of one call, until its result is gone."""
    start = perf_counter()
    call()
    return perf_counter() - start


def line(race: Race, limit: Callable[[], object]) -> str:
    """The row of a table: name, ms, multiple of the limit, times faster than the peer, target."""
    contenders = [race.ours, race.peers or race.ours, limit]
    for contender in contenders:
        contender()
    rounds = [[seconds(contender) for contender in contenders] for _ in range(ROUNDS)]
    multiples = Ratios([ours / least for ours, _, least in rounds])
    faster = Ratios([theirs / ours for ours, theirs, _ in rounds])
    milliseconds = 1000 * median(ours for ours, _, _ in rounds)
    beside = str(faster) if race.peers else ""
    return f"| {race.name} | {milliseconds:,.0f} | {multiples} | {beside} | {verdict(race, multiples, faster)} |"


def verdict(race: Race, multiples: Ratios, faster: Ratios) -> str:
    """Whether the targets are met, by the medians."""
    if race.times_limit == float("inf"):
        return ""
    targets = [(f"limit × {race.times_limit:g}", median(multiples.rounds) <= race.times_limit)]
    if race.times_faster:
        targets.append((f"peer / {race.times_faster:g}", median(faster.rounds) >= race.times_faster))
    return ", ".join(f"{target}: {'met' if met else 'missed'}" for target, met in targets)


def main(rows: int) -> None:
    """Print the table."""
    weights = panel(rows)
    array = weights["weight"].to_numpy()
    print(f"{weights.height:,} rows, {ROUNDS} rounds\n")
    print("| constraint | ms | times the limit | times faster than the peer | target |")
    print("| --- | --: | --: | --: | --- |")
    for race in races(weights):
        print(line(race, lambda: array * 0.9), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
