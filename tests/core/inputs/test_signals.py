from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from core.errors import ConfigurationError
from core.inputs import (
    FunctionSignal,
    MomentumSignal,
    QuerySignal,
    SignalConfig,
    TableSignal,
    VolatilitySignal,
    Week52PositionSignal,
    required_observations,
    table_names,
)

POLICY = TypeAdapter[SignalConfig](Annotated[SignalConfig, Field(discriminator="kind")])


@pytest.mark.parametrize(
    ("document", "signal"),
    [
        ({"kind": "table", "source": "tech"}, TableSignal(name="s", weight=1.0, source="tech")),
        ({"kind": "query", "sql": "select 1"}, QuerySignal(name="s", weight=1.0, sql="select 1")),
        ({"kind": "momentum", "lookback": 120}, MomentumSignal(name="s", weight=1.0, lookback=120)),
        ({"kind": "volatility"}, VolatilitySignal(name="s", weight=1.0)),
        ({"kind": "week_52_position"}, Week52PositionSignal(name="s", weight=1.0)),
        ({"kind": "function", "function": "a.b:c"}, FunctionSignal(name="s", weight=1.0, function="a.b:c")),
    ],
)
def test_a_policy_tells_signals_apart_by_kind(document: dict[str, Any], signal: SignalConfig) -> None:
    assert POLICY.validate_python({"name": "s", "weight": 1.0} | document) == signal


def test_a_policy_refuses_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="lookbak"):
        POLICY.validate_python({"name": "s", "weight": 1.0, "kind": "momentum", "lookbak": 5})


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_must_be_positive_and_finite(weight: float) -> None:
    with pytest.raises(ConfigurationError, match="weight of signal s"):
        TableSignal(name="s", weight=weight)


def test_a_signal_needs_a_name_and_a_known_normaliser() -> None:
    with pytest.raises(ConfigurationError, match="no name"):
        TableSignal(name="", weight=1.0)
    with pytest.raises(ConfigurationError, match="Did you mean 'zscore'"):
        TableSignal(name="s", weight=1.0, normaliser="z_score")  # type: ignore[arg-type]


def test_windows_must_hold_enough_prices() -> None:
    with pytest.raises(ConfigurationError, match="lookback of signal s"):
        MomentumSignal(name="s", weight=1.0, lookback=21, skip=21)
    with pytest.raises(ConfigurationError, match="skip of signal s"):
        MomentumSignal(name="s", weight=1.0, skip=-1)
    for kind in (VolatilitySignal, Week52PositionSignal):
        with pytest.raises(ConfigurationError, match="lookback of signal s"):
            kind(name="s", weight=1.0, lookback=1)


@pytest.mark.parametrize("function", ["module.function", ":function", "module:", "module:not a name"])
def test_a_function_is_named_by_module_and_name(function: str) -> None:
    with pytest.raises(ConfigurationError, match=r"package\.module:function"):
        FunctionSignal(name="s", weight=1.0, function=function)


def test_low_volatility_is_better_by_default() -> None:
    assert not VolatilitySignal(name="s", weight=1.0).higher_is_better


def test_required_observations_are_those_of_the_longest_window() -> None:
    table = TableSignal(name="t", weight=1.0)
    assert required_observations([table]) == 2
    assert required_observations([table, VolatilitySignal(name="v", weight=1.0, lookback=63)]) == 64
    assert required_observations([MomentumSignal(name="m", weight=1.0, lookback=252)]) == 253
    assert required_observations([FunctionSignal(name="f", weight=1.0, function="a:b", lookback=300)]) == 300


def test_table_names_are_sources_and_queries() -> None:
    signals = [TableSignal(name="t", weight=1.0, source="tech"), QuerySignal(name="q", weight=1.0, sql="select 1")]
    assert table_names([*signals, MomentumSignal(name="m", weight=1.0)]) == ("q", "tech")
