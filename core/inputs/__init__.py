"""What comes in, judged and made comparable."""

from core.inputs.candidates import CandidatesFrom
from core.inputs.config import GateConfig
from core.inputs.gate import Gated, judge
from core.inputs.normalisers import Normaliser, normalised
from core.inputs.signal_values import judge_coverage, signal_values
from core.inputs.signals import (
    FunctionSignal,
    MomentumSignal,
    PriceSignal,
    QuerySignal,
    Signal,
    SignalConfig,
    TableSignal,
    VolatilitySignal,
    Week52PositionSignal,
    required_observations,
    table_names,
)

__all__ = [
    "CandidatesFrom",
    "FunctionSignal",
    "GateConfig",
    "Gated",
    "MomentumSignal",
    "Normaliser",
    "PriceSignal",
    "QuerySignal",
    "Signal",
    "SignalConfig",
    "TableSignal",
    "VolatilitySignal",
    "Week52PositionSignal",
    "judge",
    "judge_coverage",
    "normalised",
    "required_observations",
    "signal_values",
    "table_names",
]
