"""The README keeps its word: its policy is the shipped one, its code runs, its commands exist."""

import re
from typing import get_args

from core.policy import Constraint
from core.policy_file import parse_policy
from deployments.cli import app
from tasks.settings import ROOT, named_policy

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_policy_explained_is_the_shipped_one():
    explained = parse_policy(blocks("yaml")[0], "README.md")
    shipped = named_policy("conservative")
    assert explained.model_copy(update={"description": shipped.description}) == shipped


def test_the_signals_and_the_query_shown_are_right():
    _, signals, _, source = blocks("yaml")
    policy = parse_policy(f"name: x\nscoring:\n  signals:\n{signals}\n{source}", "README.md")
    assert [signal.kind for signal in policy.scoring.signals] == ["momentum", "query", "function"]
    assert "positions" in policy.reads.queries


def test_the_limits_shown_are_right():
    policy = parse_policy(f"name: x\n{blocks('yaml')[2]}", "README.md")
    assert [constraint.mode for constraint in policy.constraints] == ["no_worse", "soft"]


def test_every_kind_of_limit_is_in_the_table():
    kinds = {get_args(kind.__annotations__["kind"])[0] for kind in get_args(Constraint)}
    assert {kind for kind in kinds if f"`{kind}`" not in README} == set()


def test_the_notebook_example_runs(capsys):
    (example,) = blocks("python")
    exec(example, {})  # noqa: S102 - our own README
    assert "AAPL" in capsys.readouterr().out


def test_every_command_is_listed_with_each_of_its_options():
    (listed,) = re.findall(r"```\n(evenkeel init.*?)```", README, re.DOTALL)
    lines = {line.split()[0]: line for line in re.sub(r"\n {2,}", " ", listed).split("evenkeel ") if line}
    commands = {name: app[name] for name in app if not name.startswith("-")}
    assert lines.keys() == commands.keys()
    for name, command in commands.items():
        arguments = command.assemble_argument_collection()
        options = {argument.name for argument in arguments if argument.field_info.is_keyword_only}
        assert {option for option in options if option not in lines[name]} == set()


def test_every_make_target_named_exists():
    named = set(re.findall(r"make ([a-z]+)", README))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets
