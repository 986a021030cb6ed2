"""The schema of every frame, declared once.

A schema serves validation (the data gate), SQL tables and Parquet (the store), and test data. Three families:

- inputs, as they stand in the database: `Portfolios` ... `Overrides`;
- the frame that flows through a run, one row per (portfolio_id, as_of, symbol), each step adding columns: `Universe`,
  `Scored`, `Decided`, `Sized`;
- outputs: `Targets`, `Actions`, `Findings`, `Breaches`, `BucketStatisticsRows`, `Relaxations`, `Infeasible`,
  `WaysOut`, `Explanations`, `Decisions`.

Weights are signed fractions of net asset value; amounts are in the portfolio's currency; prices are per unit.
"""

from enum import Enum
from functools import cache

import dataframely as dy
import polars as pl

RUN_KEYS = ("portfolio_id", "as_of")  # one run
KEYS = (*RUN_KEYS, "symbol")  # one row of a run
UNKNOWN_BUCKET = "Unknown"  # the bucket of an asset that no bucket lists
CASH_SYMBOL = "$CASH"  # the symbol of the cash row among the targets; no asset may bear it
ALL_PORTFOLIOS = "all"  # an override for every portfolio


class AssetPriority(Enum):
    """Why an asset is in the universe. PORTFOLIO means held; the other three do not affect any order."""

    PORTFOLIO = "portfolio"
    TRENDING = "trending"
    REGIME = "regime"
    FALLBACK = "fallback"


class Severity(Enum):
    """What a finding does: stop every run, stop one portfolio, exclude one candidate, or only be told."""

    STOP_BATCH = "stop_batch"
    STOP_PORTFOLIO = "stop_portfolio"
    EXCLUDE = "exclude"
    WARN = "warn"


class OverrideKind(Enum):
    """What a person may say about a symbol that the data gate would stop."""

    PRICE = "price"
    WRITTEN_OFF = "written-off"
    RENAMED_TO = "renamed-to"
    ACCEPT_JUMP = "accept-jump"


class TradeAction(Enum):
    """What a target asks for, compared with the current weight."""

    OPEN = "open"
    INCREASE = "increase"
    DECREASE = "decrease"
    HOLD = "hold"
    CLOSE = "close"


def enum_column(enum: type[Enum], *, nullable: bool = False) -> dy.Enum:
    """A column whose values are those of a Python enum."""
    return dy.Enum([member.value for member in enum], nullable=nullable)


def _name(*, primary_key: bool = False, nullable: bool = False) -> dy.String:
    return dy.String(min_length=1, primary_key=primary_key, nullable=nullable)


# inputs


class Portfolios(dy.Schema):
    """One row per portfolio."""

    portfolio_id = _name(primary_key=True)
    name = dy.String()
    base_currency = _name()
    active = dy.Bool()


class Positions(dy.Schema):
    """One row per holding of a portfolio's snapshot; quantity in units, negative for a short position."""

    portfolio_id = _name(primary_key=True)
    as_of = dy.Date(primary_key=True)
    symbol = _name(primary_key=True)
    quantity = dy.Float64()


class Cash(dy.Schema):
    """One row per portfolio and snapshot; it dates the snapshot, so that an empty portfolio is known to be empty."""

    portfolio_id = _name(primary_key=True)
    as_of = dy.Date(primary_key=True)
    amount = dy.Float64()


class Assets(dy.Schema):
    """One row per asset. No bucket: the asset is in `Unknown`. No currency: that of every portfolio."""

    symbol = _name(primary_key=True)
    name = dy.String(nullable=True)
    bucket = _name(nullable=True)
    tradable = dy.Bool()
    currency = _name(nullable=True)


class Prices(dy.Schema):
    """One row per date and symbol; adjusted_close is used by signals where present."""

    as_of = dy.Date(primary_key=True)
    symbol = _name(primary_key=True)
    close = dy.Float64(min_exclusive=0)
    adjusted_close = dy.Float64(nullable=True, min_exclusive=0)


class Signals(dy.Schema):
    """One row per date, symbol and signal; no row is a missing signal, 0.0 is a signal."""

    as_of = dy.Date(primary_key=True)
    symbol = _name(primary_key=True)
    signal = _name(primary_key=True)
    value = dy.Float64()


class Candidates(dy.Schema):
    """One row per date and asset that may be bought, and why it is considered."""

    as_of = dy.Date(primary_key=True)
    symbol = _name(primary_key=True)
    priority = enum_column(AssetPriority)


class CorporateActions(dy.Schema):
    """A split or a renaming: from `effective` on, one unit of `symbol` is `factor` units, of `new_symbol` if named."""

    effective = dy.Date(primary_key=True)
    symbol = _name(primary_key=True)
    factor = dy.Float64(min_exclusive=0)
    new_symbol = _name(nullable=True)


class Overrides(dy.Schema):
    """What a person decided about a symbol, for one portfolio or `all`, from one date to another, both included."""

    portfolio_id = _name(primary_key=True)
    symbol = _name(primary_key=True)
    kind = dy.Enum([kind.value for kind in OverrideKind], primary_key=True)
    from_ = dy.Date(primary_key=True, alias="from")
    to = dy.Date()
    value = dy.String(nullable=True)  # the price, or the new symbol
    who = _name()
    why = _name()


INPUTS: dict[str, type[dy.Schema]] = {
    "portfolios": Portfolios,
    "positions": Positions,
    "cash": Cash,
    "assets": Assets,
    "prices": Prices,
    "signals": Signals,
    "candidates": Candidates,
    "corporate_actions": CorporateActions,
    "overrides": Overrides,
}
"""Input tables by name; files for `evenkeel load` and queries of a policy bear the same names."""


# the frame that flows through a run


class Run(dy.Schema):
    """The columns that every frame of a run begins with."""

    portfolio_id = _name(primary_key=True)
    as_of = dy.Date(primary_key=True)


class Universe(Run):
    """One row per asset considered: the held ones always, and the candidates."""

    symbol = _name(primary_key=True)
    priority = enum_column(AssetPriority)
    held = dy.Bool()
    bucket = _name()
    tradable = dy.Bool()
    current_weight = dy.Float64()
    quantity = dy.Float64()
    close = dy.Float64(nullable=True)
    excluded = dy.String(nullable=True)  # why the data gate excludes this candidate


class Scored(Universe):
    """The universe with its scores; `side` is 1 for a name considered long, -1 for one considered short."""

    score = dy.Float64(nullable=True)
    confidence = dy.Float64(nullable=True)
    reason = dy.String()
    proposed_weight = dy.Float64(nullable=True)  # where sizing takes weights as proposed
    volatility = dy.Float64(nullable=True)  # per year; where sizing divides by it
    side = dy.Int8()
    fixed = dy.Bool()  # held, and not tradable or without a score: its weight must not move


class Decided(Scored):
    """Scored rows with a decision: `rejected_by` names the rule that rejected a name, null while it is in."""

    rejected_by = dy.String(nullable=True)


class Sized(Decided):
    """Decided rows with their wanted weight; 0 for a rejected name."""

    wanted_weight = dy.Float64()


# outputs


class Targets(Run):
    """One row per held or wanted name of a published run, and one cash row (`is_cash`)."""

    symbol = _name(primary_key=True)
    is_cash = dy.Bool()
    action = enum_column(TradeAction)
    priority = enum_column(AssetPriority, nullable=True)
    bucket = dy.String(nullable=True)
    score = dy.Float64(nullable=True)
    confidence = dy.Float64(nullable=True)
    current_weight = dy.Float64()
    wanted_weight = dy.Float64()
    target_weight = dy.Float64()
    trade_weight = dy.Float64()
    close = dy.Float64(nullable=True)
    current_quantity = dy.Float64(nullable=True)
    trade_notional = dy.Float64(nullable=True)
    trade_quantity = dy.Float64(nullable=True)
    reason = dy.String()


class Actions(Run):
    """One row per change or rejection by a rule: from which value, to which, at which limit."""

    seq = dy.Int32(primary_key=True)
    step = _name()
    rule = _name()
    verb = _name()
    symbol = dy.String(nullable=True)
    bucket = dy.String(nullable=True)
    before = dy.Float64(nullable=True)
    after = dy.Float64(nullable=True)
    limit = dy.Float64(nullable=True)
    detail = dy.String(nullable=True)


class Findings(dy.Schema):
    """One row per input row that is wrong or noteworthy; no portfolio: it concerns all of them."""

    severity = enum_column(Severity)
    code = _name()
    portfolio_id = dy.String(nullable=True)
    symbol = dy.String(nullable=True)
    frame = _name()
    column = dy.String(nullable=True)
    row = dy.String(nullable=True)  # the key of the row, as a person would name it
    value = dy.String(nullable=True)
    message = _name()
    remedy = dy.String()


class Breaches(Run):
    """One row per limit that the final weights of a run do not meet: the level, the limit in force, the excess."""

    constraint = _name()
    scope = dy.String()  # the symbol or bucket concerned; empty for the whole portfolio
    limit = dy.Float64()
    level = dy.Float64()
    excess = dy.Float64()


class BucketStatisticsRows(Run):
    """One row per bucket of a run's final targets; limits are null where none is set."""

    bucket = _name(primary_key=True)
    asset_count = dy.Int32()
    gross_weight = dy.Float64()
    avg_score = dy.Float64(nullable=True)
    max_score = dy.Float64(nullable=True)
    min_score = dy.Float64(nullable=True)
    max_positions = dy.Int32(nullable=True)
    max_allocation = dy.Float64(nullable=True)


class Relaxations(Run):
    """One row per soft limit of a run that gave way: the value configured, the value used, and why."""

    constraint = _name()
    scope = dy.String()  # the symbol or bucket concerned; empty for the whole portfolio
    limit = dy.Float64()
    used = dy.Float64()
    reason = _name()


class Infeasible(Run):
    """One row per run whose limits no weights meet: which ones conflict, and what makes room, in words."""

    conflict = _name()


class WaysOut(Run):
    """One row per limit that is in a conflict, or in the joint change that ends all conflicts of its run.

    `alone` is the value that suffices if only this limit changes (null: none does), `jointly` its value in the joint
    least change (null: unchanged).
    """

    constraint = _name()
    scope = dy.String()  # the symbol or bucket concerned; empty for the whole portfolio
    limit = dy.Float64()
    alone = dy.Float64(nullable=True)
    jointly = dy.Float64(nullable=True)


class Explanations(Run):
    """One row per name and rule that changed its weight, from the wanted weight on: `before + change = after`.

    By name, the changes add up to target less wanted weight. A last row `rounding`, at most 1e-9, closes the sum.
    """

    seq = dy.Int32(primary_key=True)  # numbers the rows of a run, name by name, each in the order of its changes
    symbol = _name()
    rule = _name()
    limit = dy.Float64(nullable=True)
    before = dy.Float64()
    change = dy.Float64()
    after = dy.Float64()


class Decisions(Run):
    """One row per name that a run considered: its signals and score, and whether it was selected, and why not."""

    symbol = _name(primary_key=True)
    bucket = _name()
    held = dy.Bool()
    side = dy.Int8()  # 1: considered long, -1: considered short
    score = dy.Float64(nullable=True)
    confidence = dy.Float64(nullable=True)
    signals = dy.String()  # in words: each signal with its weight
    fixed = dy.Bool()
    rejected_by = dy.String(nullable=True)
    why = _name()
    current_weight = dy.Float64()
    wanted_weight = dy.Float64()
    target_weight = dy.Float64(nullable=True)  # null where no weights meet all limits


@cache
def empty(schema: type[dy.Schema]) -> pl.DataFrame:
    """An empty frame of a schema."""
    return schema.create_empty()
