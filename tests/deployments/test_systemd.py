"""The units are right for systemd, and start with settings and commands that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings import ROOT

UNITS = sorted((ROOT / "deployments/systemd").glob("*.service"))
BIN = "/opt/evenkeel/.venv/bin/"


def settings(unit, section="Service"):
    """Key and value of each line of a section."""
    text = unit.read_text().split(f"[{section}]")[1].split("\n[")[0]
    return [tuple(line.split("=", 1)) for line in text.splitlines() if "=" in line and not line.startswith("#")]


def test_there_is_a_unit_for_the_server_and_one_for_the_worker():
    assert [unit.stem for unit in UNITS] == ["evenkeel-server", "evenkeel-worker"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong(tmp_path):
    for unit in UNITS:
        text = unit.read_text()
        assert BIN in text
        (tmp_path / unit.name).write_text(re.sub(BIN + "[a-z]+", sys.executable, text))
    verify = ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.glob("*.service"))]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "evenkeel-" in line]
    assert about_ours == []
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_units_are_hardened(unit):
    words = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze rates no files")
    assert done.returncode == 0, done.stdout[-400:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_restarts_and_keeps_what_is_secret_in_a_file(unit):
    lines = settings(unit)
    assert ("Restart", "always") in lines
    assert ("User", "evenkeel") in lines
    assert [name for name, _ in lines if name == "EnvironmentFile"] == ["EnvironmentFile"]
    assert "AUTH_STRING" not in re.sub("^#.*", "", unit.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_every_prefect_setting_of_a_unit_exists(unit):
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    known = set(_get_settings_fields(Settings))
    named = re.findall(r"PREFECT_[A-Z_]+", "\n".join(value for name, value in settings(unit) if name == "Environment"))
    assert named
    assert set(named) - known == set()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_command_of_a_unit_is_understood(unit):
    (command,) = [value for name, value in settings(unit) if name == "ExecStart"]
    words = re.sub(rf"^{BIN}(prefect|python -m deployments\.server)", "", command).split()
    words = words if words[0] == "worker" else ["server", *words]
    options = {word for word in words if word.startswith("--")}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words[:2], "--help"], capture_output=True, text=True, check=True
    )
    assert {option for option in options if option not in done.stdout} == set()


def test_the_worker_is_given_time_and_its_heartbeats():
    worker = dict(settings(Path(UNITS[1])))
    assert worker["KillMode"] == "mixed"
    assert "PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30" in UNITS[1].read_text()
