"""Policy files that are not what they look like."""

import pytest

from core.errors import ConfigurationError
from core.policy_file import load_policy


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"name: caf\xe9\n", "Write it as UTF-8"),
        (b"name: x\ndescription: 2026-13-45\n", "'2026-13-45' cannot be read.*put it in quotes"),
        (b"name: x\nlimits: {max_total_positions: !!int ten}\n", "'ten' cannot be read"),
        (b"name: x\nlimits: {total_is_hard: !!bool maybe}\n", "'maybe' cannot be read"),
        (b"name: !!timestamp now\n", "'now' cannot be read"),
        (b"name: " + b"[" * 1_000, "nested too deeply"),
    ],
)
def test_a_text_that_yaml_cannot_make_sense_of_is_refused_with_the_remedy(tmp_path, written, told):
    file = tmp_path / "odd.yaml"
    file.write_bytes(written)
    with pytest.raises(ConfigurationError, match=f"(?s){told}"):
        load_policy(file)
