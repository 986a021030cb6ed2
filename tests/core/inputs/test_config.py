import pytest
from pydantic import TypeAdapter, ValidationError

from core.errors import ConfigurationError
from core.inputs import GateConfig


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("max_price_age_days", -1),
        ("max_signal_age_days", 1.5),
        ("max_candidates_age_days", True),
        ("max_jump", 0.0),
        ("max_jump", float("nan")),
        ("max_jump", 40),
        ("max_share_without_score", 1.5),
        ("prices_known", "sometimes"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_named(name: str, limit: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        GateConfig(**{name: limit})  # type: ignore[arg-type]


def test_a_policy_can_read_it_and_refuses_unknown_keys() -> None:
    adapter = TypeAdapter(GateConfig)
    assert adapter.validate_python({"max_jump": 0.3}) == GateConfig(max_jump=0.3)
    with pytest.raises(ValidationError, match="max_jumps"):
        adapter.validate_python({"max_jumps": 0.3})
