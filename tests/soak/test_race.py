"""A few processes at once; `python -m tests.soak.race` is the same with twenty."""

from pathlib import Path

from core.store import engine_from_url, init
from tests.soak.race import races, starting_line


def test_processes_at_once_leave_exactly_one_current_run_per_portfolio(postgres: str, tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path}/evenkeel.db"
    init(engine_from_url(file))
    with starting_line(3) as pool:
        run = [race for url in (file, postgres) for race in races(3, url, tmp_path / url[:6], pool)]
    assert [(race.name, race.current, race.faults) for race in run] == 2 * [
        ("turns", 1, []),
        ("rivals", 1, []),
        ("apart", 3, []),
    ]
