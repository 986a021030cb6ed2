"""The page on adding a constraint, applied to a copy of the project and run there."""

import re
import shutil
import subprocess
import sys

import pytest

from tasks.settings import ROOT

PAGE = ROOT / "docs" / "adding-a-constraint.md"
BLOCK = re.compile(r"```(python|diff) file=(\S+)\n(.*?)```", re.DOTALL)
COPIED = ("core", "tasks", "flows", "deployments", "tests", "pyproject.toml", "README.md")


def patched(text, diff):
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    before = "\n".join(line for sign, line in lines if sign != "+")
    after = "\n".join(line for sign, line in lines if sign != "-")
    assert text.count(before) == 1, f"not once in the file:\n{before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with every block of the page applied, in their order."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / name, ignore=ignored) if source.is_dir() else shutil.copy(source, root)
    for kind, name, content in BLOCK.findall(PAGE.read_text()):
        file = root / name
        file.write_text(patched(file.read_text(), content) if kind == "diff" else content)
    return root


def run(copy, *command):
    environment = {"PYTHONPATH": str(copy), "POLARS_MAX_THREADS": "1", "PATH": ""}
    command = [sys.executable, "-m", *command]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_the_four_places():
    places = {name for _, name, _ in BLOCK.findall(PAGE.read_text())}
    assert places == {
        "core/constraints/short.py",
        "core/results/checks.py",
        "core/policy.py",
        "tests/core/constraints/test_short.py",
    }


def test_the_tests_of_the_page_pass(copy):
    run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/core/constraints/test_short.py")


@pytest.mark.lint
def test_the_code_of_the_page_is_typed_and_in_style(copy):
    run(copy, "ruff", "check", "core", "tests/core/constraints/test_short.py")
    run(copy, "ruff", "format", "--check", "core/constraints/short.py", "tests/core/constraints/test_short.py")
    if (known := ROOT / ".mypy_cache").exists():  # what `make lint` learnt of the libraries
        shutil.copytree(known, copy / ".mypy_cache", dirs_exist_ok=True)
    run(copy, "mypy", "-p", "core.constraints.short")
