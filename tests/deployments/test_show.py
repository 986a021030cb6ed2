"""`evenkeel show`: which targets are shown."""

import re

import pytest

from deployments.cli import app
from tests.core.store.samples import TODAY, YESTERDAY, breach, record
from tests.deployments.conftest import named


@pytest.fixture(scope="module")
def filled(stored):
    """`core` published on both days, today twice; `other` yesterday, and refused today."""
    return stored(
        [
            record("r1", as_of=YESTERDAY),
            record("r2"),
            record("r3"),
            record("r4", portfolio="other", as_of=YESTERDAY),
            record("r5", portfolio="other", breaches=breach("other")),
        ]
    )


@pytest.fixture
def shown(engine, tmp_path, monkeypatch, capsys):
    """The days of which targets are shown, and all that is printed."""
    named(engine, tmp_path / "targets", monkeypatch)

    def shown(*words):
        app(["show", *words], result_action="return_value")
        printed = capsys.readouterr().out
        return re.findall(r"^Targets for (\S+)$", printed, re.MULTILINE), printed

    return shown


def test_each_portfolio_is_shown_as_it_was_last(shown):
    assert shown()[0] == [str(YESTERDAY), str(TODAY)]
    assert shown("-p", "other")[0] == [str(YESTERDAY)]
    assert shown("-p", "core")[0] == [str(TODAY)]


def test_a_day_may_be_asked_for(shown):
    days, printed = shown("--as-of", str(YESTERDAY))
    assert days == [str(YESTERDAY)]
    assert {"core", "other"} <= {*re.findall(r"^ ?(core|other) ", printed, re.MULTILINE)}
    assert shown("--as-of", str(TODAY))[0] == [str(TODAY)]
