"""Real days in sequence through the engine and the store, under each shipped policy."""

import datetime as dt
from functools import partial
from itertools import cycle, product

import polars as pl
import pytest

from core import batch, store
from deployments import replay
from deployments.replay import NO_ACTIONS, Desk, Market, morning, opened, replayed
from tasks.settings import ROOT, named_policy, policy_names, settings
from tests.effort import SOAK

DATA = ROOT.parent / "shared" / "data" / "sp500"
SPLITS = NO_ACTIONS.vstack(
    pl.DataFrame(
        [
            (dt.date(2026, 6, 13), "KLAC", 10.0, None),
            (dt.date(2026, 6, 25), "DD", 1 / 3, None),
            (dt.date(2026, 7, 3), "CRWD", 4.0, None),
        ],
        schema=NO_ACTIONS.schema,
        orient="row",
    )
)
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the S&P 500 snapshots are not beside the project")


def now():
    return dt.datetime.now(dt.UTC)


def run_day(engine, root, policy, as_of):
    occasion = batch.Occasion(named_policy(policy), as_of, "replay", now())
    return batch.rebalance(engine, root, occasion, [policy], clock=now)


@pytest.fixture(scope="module")
def market():
    return Market.of(DATA, SPLITS)


BROKEN = {"KLAC": dt.date(2026, 6, 13), "DD": dt.date(2026, 6, 25), "CRWD": dt.date(2026, 7, 3)}
SPLIT_OF_POLICY = dict(zip(policy_names(), cycle(BROKEN), strict=False))
"""The split that a policy is run through; under `make soak` each is run through all of them, and all the days."""


def days_around(market, policy):
    """The market from three days before the split of a policy to the day after it."""
    split = BROKEN[SPLIT_OF_POLICY[policy]]
    return market.between(split - dt.timedelta(days=3), split + dt.timedelta(days=1))


@pytest.mark.parametrize("policy", policy_names())
def test_every_day_is_published_with_the_splits_entered(policy, market, tmp_path):
    market = market if SOAK else days_around(market, policy)
    count = 77 if SOAK else 5
    engine = store.engine_from_url(f"sqlite:///{tmp_path / 'evenkeel.db'}")
    days = list(replayed(engine, market, [policy], partial(run_day, engine, tmp_path / "targets")))
    assert len(days) == count
    assert {day.as_of: day.outcome.reason for day in days if day.outcome.outcome != "published"} == {}
    assert store.read_targets(engine, tmp_path / "targets")["as_of"].n_unique() == count
    runs = store.read_runs(engine)
    assert runs["status"].to_list() == ["published"] * count
    for run_id in runs["run_id"].sample(5, seed=1):
        assert store.run_rows(engine, "breaches", run_id).is_empty()
    written_off = {symbol for day in days for symbol in day.written_off}
    assert written_off <= {"HOLX", "CTRA", "BK"}  # the names that lose their price for good


@pytest.mark.parametrize(("policy", "symbol"), product(policy_names(), BROKEN) if SOAK else SPLIT_OF_POLICY.items())
def test_a_broken_price_is_caught_and_named_until_its_split_is_entered(policy, symbol, tmp_path):
    engine = store.engine_from_url(f"sqlite:///{tmp_path / 'evenkeel.db'}")
    day = BROKEN[symbol]
    before = day - dt.timedelta(days=1)
    run = partial(run_day, engine, tmp_path / "targets", policy)
    market = Market.of(DATA, NO_ACTIONS).between(before - dt.timedelta(days=5), day)
    desk = Desk(policy, {symbol: 50.0, "AAPL": 10.0, "JPM": 10.0})
    opened(engine, market, [policy])

    store.load_frames(engine, morning(desk, before, []))
    assert run(before).outcomes[0].outcome == "published"

    store.load_frames(engine, morning(desk, day, []))
    (refused,) = run(day).outcomes
    assert refused.outcome == "refused"
    assert f"{symbol} of portfolio {policy}" in refused.reason
    assert "Enter the split as a corporate action" in refused.reason

    split = SPLITS.filter(symbol=symbol)
    desk.split(dict(split.select("symbol", "factor").iter_rows()))
    store.load_frames(engine, {"corporate_actions": split, **morning(desk, day, [])})
    assert run(day).outcomes[0].outcome == "published"


def test_a_replay_has_a_database_of_its_own_whatever_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", f"sqlite:///{tmp_path}/desk.db")
    monkeypatch.setenv("EVENKEEL_TARGETS", str(tmp_path / "desk"))
    used = []
    monkeypatch.setattr(replay, "replayed", lambda database, *_: used.append((database.url, settings().targets)) or [])
    replay.main(DATA)
    ((url, targets),) = used
    assert "desk" not in str(url)
    assert targets.name == "targets"
    assert not (tmp_path / "desk.db").exists()
