"""The nouns that people handle in notebooks, tests and small scripts, and the containers that steps exchange.

Every fraction is of net asset value: `position_size_percentage=0.05` is 5 %.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl

from core.schemas import AssetPriority


@dataclass(frozen=True)
class AssetScore:
    """One scored asset; its weight may be absent."""

    asset: str
    combined_score: float | None  # in [0, 1]; None or NaN: no score
    priority: AssetPriority
    position_size_percentage: float | None = None  # signed fraction of net asset value
    date: dt.date | None = None
    technical_score: float | None = None
    fundamental_score: float | None = None
    confidence: float | None = None
    regime: str | None = None
    previous_allocation: float | None = None
    scoring_reason: str = ""
    missing_data_flags: Sequence[str] = ()


@dataclass(frozen=True)
class BucketAllocation:
    """What a bucket may hold and what it holds."""

    max_positions: int = 4
    max_weight: float = 0.4
    current_positions: int = 0
    current_weight: float = 0.0
    priority: int = 1


@dataclass(frozen=True)
class BucketStatistics:
    """One bucket of a list of assets; total_allocation is gross, the scores ignore assets without one."""

    bucket_name: str
    asset_count: int
    total_allocation: float
    assets: tuple[str, ...]
    avg_score: float
    max_score: float
    min_score: float


@dataclass(frozen=True)
class RebalancingTarget:
    """One target of a rebalance, a held name that is to be closed included."""

    asset: str
    target_allocation_pct: float
    current_allocation_pct: float
    action: str
    priority: AssetPriority
    score: float | None
    reason: str


@dataclass(frozen=True)
class Step:
    """What a step returns: the rows of the run with columns added, and the actions it took."""

    rows: pl.DataFrame
    actions: pl.DataFrame


@dataclass(frozen=True)
class Constrained(Step):
    """What the constrain step returns beside weights and actions.

    The frames have the schemas `Relaxations`, `Infeasible` and `WaysOut`. Of an infeasible run, the target weights of
    `rows` are null. `solvers`: how many runs each solver has solved exactly.
    """

    relaxations: pl.DataFrame
    infeasible: pl.DataFrame
    ways_out: pl.DataFrame
    solvers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """Some portfolios of a batch, which are done by themselves: `number`, from 1, of `count`.

    Only what belongs to other portfolios is not read: rows that belong to nobody are a fault of the batch, which every
    shard sees.
    """

    number: int
    count: int
    portfolio_ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """For example `shard 2 of 8`."""
        return f"shard {self.number} of {self.count}"


def sharded(portfolio_ids: Sequence[str], count: int) -> list[Shard]:
    """The portfolios in `count` shards of nearly equal size, in order; in fewer where there are fewer portfolios."""
    count = min(count, len(portfolio_ids))
    cuts = [place * len(portfolio_ids) // count for place in range(count + 1)]
    return [
        Shard(number, count, tuple(portfolio_ids[start:end]))
        for number, (start, end) in enumerate(pairwise(cuts), start=1)
    ]


@dataclass(frozen=True)
class Inputs:
    """Everything that a batch reads, one frame per input table, and the prices of the last published runs.

    `last_prices` has one row per (portfolio_id, symbol) with `as_of` and `close` of the portfolio's last published run
    before `as_of` that held the symbol. `current_runs` are the runs of `as_of`, made by other
    batches, that were current just before all this was read, by portfolio: where another batch has made another one
    current later, it was faster, and may know more.
    """

    as_of: dt.date
    frames: dict[str, pl.DataFrame] = field(repr=False)
    last_prices: pl.DataFrame = field(repr=False)
    current_runs: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __getitem__(self, table: str) -> pl.DataFrame:
        return self.frames[table]

    @property
    def all_frames(self) -> dict[str, pl.DataFrame]:
        """Every frame by its name, `last_prices` among them."""
        return {**self.frames, "last_prices": self.last_prices}

    @property
    def portfolio_ids(self) -> list[str]:
        """The portfolios of the batch, in order."""
        return self["portfolios"]["portfolio_id"].drop_nulls().cast(pl.String).unique().sort().to_list()

    def of(self, portfolio_ids: Collection[str]) -> "Inputs":
        """The same without the rows of the batch's other portfolios."""
        others = sorted({*self.portfolio_ids} - {*portfolio_ids})
        kept = {
            name: frame.filter(~pl.col("portfolio_id").cast(pl.String).is_in(others).fill_null(False))
            if "portfolio_id" in frame.columns
            else frame
            for name, frame in self.all_frames.items()
        }
        return Inputs(self.as_of, kept, kept.pop("last_prices"), self.current_runs)
