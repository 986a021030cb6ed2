"""How strict the data gate is."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from core.errors import ConfigurationError
from core.limits import require_at_least, require_between, require_positive

PricesKnown = Literal["by_morning", "after_close"]
LARGEST_JUMP = 10.0  # a price eleven times as high: more is no limit
AGES = ("max_price_age_days", "max_signal_age_days", "max_candidates_age_days")


@dataclass(frozen=True)
class GateConfig:
    """The limits of the data gate; ages are in calendar days before the as-of date.

    `prices_known` says how prices are dated: `by_morning`, by the morning on which they are known, so that the price of
    the as-of date counts; `after_close`, by their close, so that only earlier ones do.
    Raises `ConfigurationError`, a `ValueError`, where a limit cannot be meant.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    max_price_age_days: int = 5
    max_signal_age_days: int = 5
    max_candidates_age_days: int = 5
    max_jump: float = 0.4  # relative change of a price, up or down
    max_share_without_score: float = 0.5  # of the candidates
    max_leverage: float = 10.0  # what a portfolio holds, gross, in units of its net asset value
    prices_known: PricesKnown = "by_morning"

    def __post_init__(self) -> None:
        for name in AGES:
            require_at_least(name, getattr(self, name), 0)
        require_positive("max_jump", self.max_jump)
        if self.max_jump > LARGEST_JUMP:
            raise ConfigurationError(
                f"max_jump is {self.max_jump:g}, a change of {self.max_jump:.0%}: a fraction is meant; "
                f"{self.max_jump:g} % is {self.max_jump / 100:g}."
            )
        require_positive("max_leverage", self.max_leverage)
        require_between("max_share_without_score", self.max_share_without_score, 0.0, 1.0)
        if self.prices_known not in ("by_morning", "after_close"):
            raise ConfigurationError(
                f"prices_known is {self.prices_known!r}: it must be 'by_morning' or 'after_close'."
            )
