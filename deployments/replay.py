"""Replay real days in sequence: each day's targets, drifted by prices, are the next day's positions.

`python -m deployments.replay FOLDER` runs the days of a folder through the flow, one portfolio per shipped policy, in a
database of its own, and lists what was refused and why. The folder holds `assets.csv` (symbol, name, sector) and
`snapshots.parquet` (as_of, symbol, close, low_52w, high_52w, price_earnings, a row being what was known on the morning
of as_of), and may hold `corporate_actions.csv` (effective, symbol, factor, new_symbol).

`Market.of` reads them, with two signals: the position in the 52-week range and the earnings yield. `Desk` does by
hand what a desk does every morning: it reports the positions, and writes off by override what has lost its price for
good.
"""

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
from sqlalchemy.engine import Engine

from core import store
from core.errors import SkippedError
from core.results.report import BatchReport, Outcome
from core.schemas import OverrideKind
from core.wording import counted

INITIAL_CASH = 1_000_000.0
CURRENCY = "USD"
SIGNALS = ("technical", "fundamental")

RunDay = Callable[[str, dt.date], BatchReport | None]
"""Rebalance the portfolio of a policy, both of one name, for one morning; no report: it is no session."""


@dataclass(frozen=True)
class Market:
    """The input tables of a folder that are the same for every portfolio."""

    assets: pl.DataFrame
    prices: pl.DataFrame
    signals: pl.DataFrame
    corporate_actions: pl.DataFrame

    @classmethod
    def of(cls, folder: Path, corporate_actions: pl.DataFrame | None = None) -> "Market":
        """Read a folder; without `corporate_actions`, those of its file, if there is one."""
        assets = pl.read_csv(folder / "assets.csv")
        snapshots = pl.read_parquet(folder / "snapshots.parquet")
        file = folder / "corporate_actions.csv"
        if corporate_actions is None:
            corporate_actions = pl.read_csv(file, try_parse_dates=True) if file.exists() else NO_ACTIONS
        return cls(
            assets=assets.select(
                "symbol",
                "name",
                pl.col("sector").alias("bucket"),
                pl.lit(True).alias("tradable"),
                pl.lit(None, pl.String).alias("currency"),
            ),
            prices=snapshots.drop_nulls("close").select("as_of", "symbol", "close"),
            signals=_signals(snapshots),
            corporate_actions=corporate_actions.cast(NO_ACTIONS.schema).select(NO_ACTIONS.columns),
        )

    def between(self, first: dt.date, last: dt.date) -> "Market":
        """The market of some days only."""
        within = pl.col("as_of").is_between(first, last)
        return replace(self, prices=self.prices.filter(within), signals=self.signals.filter(within))

    @property
    def days(self) -> list[dt.date]:
        """The days in sequence."""
        return self.prices["as_of"].unique().sort().to_list()

    def last_priced(self) -> dict[str, dt.date]:
        """The last day on which each symbol has a price."""
        return dict(self.prices.group_by("symbol").agg(pl.col("as_of").max()).iter_rows())


NO_ACTIONS = pl.DataFrame(
    schema={"effective": pl.Date, "symbol": pl.String, "factor": pl.Float64, "new_symbol": pl.String}
)


def _signals(snapshots: pl.DataFrame) -> pl.DataFrame:
    """Technical: the position in the 52-week range. Fundamental: the earnings yield."""
    close, low, high = pl.col("close"), pl.col("low_52w"), pl.col("high_52w")
    computed = snapshots.with_columns(
        technical=pl.when(high > low).then((close - low) / (high - low)), fundamental=1.0 / pl.col("price_earnings")
    )
    long = computed.unpivot(SIGNALS, index=["as_of", "symbol"], variable_name="signal")
    return long.filter(pl.col("value").is_finite())


@dataclass
class Desk:
    """The holdings of one portfolio from day to day; quantities in units, cash in currency."""

    portfolio_id: str
    quantities: dict[str, float] = field(default_factory=dict)
    cash: float = INITIAL_CASH

    def split(self, factors: dict[str, float]) -> None:
        """Receive the shares of a split, as a custodian books them."""
        self.quantities = {symbol: units * factors.get(symbol, 1.0) for symbol, units in self.quantities.items()}

    def trade(self, targets: pl.DataFrame) -> None:
        """Trade to published targets at the closes they were decided on."""
        for symbol, is_cash, units, notional in targets.select(
            "symbol", "is_cash", "trade_quantity", "trade_notional"
        ).iter_rows():
            if not is_cash:
                self.quantities[symbol] = self.quantities.get(symbol, 0.0) + units
                self.cash -= notional
        closed = targets.filter(action="close")["symbol"].to_list()
        self.quantities = {symbol: units for symbol, units in self.quantities.items() if symbol not in closed}

    def write_off(self, symbols: Sequence[str]) -> None:
        """Give up holdings that have no price any more."""
        self.quantities = {symbol: units for symbol, units in self.quantities.items() if symbol not in symbols}


@dataclass(frozen=True)
class Day:
    """What became of one portfolio on one morning."""

    as_of: dt.date
    portfolio_id: str
    outcome: Outcome
    turnover: float
    written_off: tuple[str, ...]


def replayed(
    database: Engine, market: Market, policies: Sequence[str], run_day: RunDay, max_price_age: int = 5
) -> Iterator[Day]:
    """Load the market, then run each policy's portfolio morning by morning, and yield what became of it."""
    opened(database, market, policies)
    desks = [Desk(policy) for policy in policies]
    last_priced = market.last_priced()
    for day in market.days:
        factors = dict(market.corporate_actions.filter(effective=day).select("symbol", "factor").iter_rows())
        for desk in desks:
            desk.split(factors)
            gone = [s for s in desk.quantities if (day - last_priced[s]).days > max_price_age]
            store.load_frames(database, morning(desk, day, gone))
            report = run_day(desk.portfolio_id, day)
            if report is None:
                continue
            desk.write_off(gone)
            (outcome,) = report.outcomes
            if outcome.outcome != "refused":
                desk.trade(report.targets)
            yield Day(day, desk.portfolio_id, outcome, _turnover(report), tuple(gone))


def opened(database: Engine, market: Market, portfolio_ids: Sequence[str]) -> None:
    """Create the tables, and fill in the market and one portfolio per id."""
    store.init(database)
    portfolios = {"portfolio_id": portfolio_ids, "name": portfolio_ids, "base_currency": CURRENCY, "active": True}
    store.load_frames(
        database,
        {
            "portfolios": pl.DataFrame(portfolios),
            "assets": market.assets,
            "prices": market.prices,
            "signals": market.signals,
            "corporate_actions": market.corporate_actions,
        },
    )


def morning(desk: Desk, day: dt.date, gone: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The snapshot of a portfolio, and the overrides that write off what has lost its price for good."""
    snapshot = {"portfolio_id": desk.portfolio_id, "as_of": day}
    held = {"symbol": list(desk.quantities), "quantity": list(desk.quantities.values())}
    frames = {
        "positions": pl.DataFrame(snapshot | held, schema_overrides={"symbol": pl.String, "quantity": pl.Float64}),
        "cash": pl.DataFrame(snapshot | {"amount": [desk.cash]}),
    }
    if gone:
        frames["overrides"] = pl.DataFrame(
            {
                "portfolio_id": desk.portfolio_id,
                "symbol": gone,
                "kind": OverrideKind.WRITTEN_OFF.value,
                "from": day,
                "to": day,
                "value": pl.Series([None] * len(gone), dtype=pl.String),
                "who": "replay",
                "why": "its price is gone for good",
            }
        )
    return frames


def _turnover(report: BatchReport) -> float:
    return float(report.targets.filter(~pl.col("is_cash"))["trade_weight"].abs().sum()) / 2


def through_flow(policy: str, as_of: dt.date) -> BatchReport | None:
    """Run one day as the schedule would."""
    from flows.daily_rebalance import rebalanced

    try:
        return rebalanced(policy=policy, as_of=as_of, portfolios=[policy], fresh=True)
    except SkippedError:
        return None


def main(folder: Path) -> None:
    """Replay a folder through the flow, and print each day that was refused, and the counts."""
    from tasks.settings import VAR, policy_names, settings

    work = VAR / "replay"
    os.environ["EVENKEEL_DATABASE_URL"] = f"sqlite:///{work / 'evenkeel.db'}"  # whatever database a desk works on
    os.environ["EVENKEEL_TARGETS"] = str(work / "targets")
    database = store.engine_from_url(settings().database_url)
    days = []
    for day in replayed(database, Market.of(folder), policy_names(), through_flow):
        days.append(day)
        print(f"{day.as_of}  {day.portfolio_id:<16}{_told(day)}", flush=True)
    for policy in policy_names():
        mine = [day for day in days if day.portfolio_id == policy]
        refused = sum(day.outcome.outcome == "refused" for day in mine)
        written_off = sorted(symbol for day in mine for symbol in day.written_off)
        print(
            f"{policy:<16}{counted(len(mine), 'day')}, {len(mine) - refused} published, {refused} refused, "
            f"{counted(len(written_off), 'holding')} written off {' '.join(written_off)}"
        )


def _told(day: Day) -> str:
    return f"refused: {day.outcome.reason}" if day.outcome.reason else f"published, turnover {day.turnover:.2%}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
