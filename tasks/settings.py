"""Where a run finds its database, its target folder and its policies: the environment, and nothing else."""

import os
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigurationError, nearest_hint
from core.policy import Policy
from core.policy_file import load_policy

ROOT = Path(__file__).resolve().parents[1]
VAR = ROOT / "var"
POLICIES = ROOT / "deployments" / "policies"


@dataclass(frozen=True)
class Settings:
    """The settings of this environment."""

    database_url: str
    targets: Path
    policies: Path


def settings() -> Settings:
    """Read `EVENKEEL_DATABASE_URL`, `EVENKEEL_TARGETS` and `EVENKEEL_POLICIES`; by default all below the project."""
    return Settings(
        database_url=os.environ.get("EVENKEEL_DATABASE_URL") or f"sqlite:///{VAR / 'evenkeel.db'}",
        targets=Path(os.environ.get("EVENKEEL_TARGETS") or VAR / "targets").resolve(),
        policies=Path(os.environ.get("EVENKEEL_POLICIES") or POLICIES).resolve(),
    )


def policy_names() -> list[str]:
    """The names of all policies at hand: their files without the ending."""
    return sorted(path.stem for path in settings().policies.glob("*.yaml"))


def named_policy(name: str) -> Policy:
    """The policy of that name, or of that file. Raises `ConfigurationError` where there is none."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return load_policy(path)
    if name not in policy_names():
        raise ConfigurationError(
            f"policy {name!r} is not in {settings().policies}; {nearest_hint(name, policy_names())}"
        )
    return load_policy(settings().policies / f"{name}.yaml")
