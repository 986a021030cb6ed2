"""Corrupted inputs end in a verified publication or a clear refusal: some of what `make soak` tries by the thousand.

`python -m tests.soak.hostile --case N` tells one case in full.
"""

import pytest

from tests.soak.hostile import TURNS, WAYS, PostgresDatabases, SqliteDatabases, run_cases

PARTS = 4
CASES = 12  # of each part


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory):
    return SqliteDatabases(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_corruption_ends_in_a_traceback_a_silent_drop_or_an_unverified_target(part, sqlite_databases):
    wrong = [ending for ending in run_cases(range(part * CASES, (part + 1) * CASES), sqlite_databases) if ending.faults]
    assert not wrong


def test_nor_does_any_on_postgresql(postgres_server):
    wrong = [ending for ending in run_cases((0, 1, 2, 4, 6), PostgresDatabases(postgres_server)) if ending.faults]
    assert not wrong


def test_every_way_in_has_its_turn():
    assert {*TURNS} == {*WAYS, "objects"}
