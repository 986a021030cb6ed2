"""A run that is killed (SIGKILL) in a file or after a commit; `python -m tests.soak.kill` tries every point."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.soak.driver import Point
from tests.soak.here import Here
from tests.soak.kill import SCENARIOS, Case, Drivers, faults_of, prepared
from tests.soak.worlds import PostgresWorlds, SqliteWorlds, Worlds

POINTS = {
    "sqlite": Point("half of targets/as_of=2026-11-20/portfolio_id=concentrated/*.tmp is written", 1),
    "postgresql": Point("after commit", 5),
}


@pytest.fixture(scope="module")
def drivers(prefect_server: str) -> Iterator[Drivers]:
    with Drivers(prefect_server, count=1).started() as started:
        yield started


@pytest.fixture(scope="module", params=POINTS)
def case(request: pytest.FixtureRequest, drivers: Drivers, postgres_server: PostgresServer, tmp_path_factory) -> Case:
    folder: Path = tmp_path_factory.mktemp(request.param)
    kinds: dict[str, Worlds] = {
        "sqlite": SqliteWorlds(folder),
        "postgresql": PostgresWorlds(folder, postgres_server),
    }
    return prepared(kinds[request.param], SCENARIOS[0], Here())


def test_a_killed_run_leaves_nothing_half_done_and_a_rerun_ends_as_if_nothing_had_happened(case: Case, drivers):
    assert faults_of(case, POINTS[case.worlds.kind], drivers, Here()) == []
