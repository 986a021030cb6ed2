"""Lock files: their names, their words, that they go, and how many there may be."""

import fcntl
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StoreError
from core.store import lock_files
from core.store.lock_files import FileLocks, Words, require_descriptors
from tests.core.store.samples import NOON

WORDS = Words("nightly", NOON)
IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_file_bears_the_quoted_name_of_its_portfolio(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path / "day", WORDS)
    assert locks.take(["core", "a/b"]) == {"core", "a/b"}
    assert names(tmp_path / "day") == ["a%2Fb.lock", "core.lock"]
    locks.close()


@given(st.lists(IDS | IDS.map(lambda name: name * 3), unique=True, max_size=8))
def test_no_two_portfolios_share_a_file_and_every_name_fits(portfolio_ids: list[str]) -> None:
    locks = FileLocks(Path("day"), WORDS)
    files = [locks._path(portfolio_id) for portfolio_id in portfolio_ids]
    assert len(set(files)) == len(files)
    assert all(file.parent == Path("day") and len(os.fsencode(file.name)) <= 255 for file in files)


def test_released_files_are_removed_with_their_folders(tmp_path: Path) -> None:
    first, second = (FileLocks(tmp_path / "db.locks" / "day", WORDS) for _ in range(2))
    first.take(["a"])
    second.take(["b"])
    first.close()
    assert names(tmp_path / "db.locks" / "day") == ["b.lock"]
    second.close()
    assert names(tmp_path) == []


def test_what_a_killed_process_left_behind_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "core.lock").write_text('{"holder": "somebody with a very long name, now dead", "since": ""}')
    locks = FileLocks(tmp_path, WORDS)
    assert locks.take(["core"]) == {"core"}
    assert locks.words(["core"]) == {"core": WORDS}
    locks.close()


@pytest.mark.parametrize(
    "content", ["", '{"holder": "nigh', "[]", '{"holder": "ann"}', '{"holder": "ann", "since": "?"}']
)
def test_words_that_are_not_whole_say_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "core.lock").write_text(content)
    assert FileLocks(tmp_path, WORDS).words(["core", "absent"]) == {}


def test_a_file_that_its_holder_removes_while_it_is_being_locked_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []

    def flock(descriptor: int, how: int) -> None:
        if not removed:
            removed.append((tmp_path / "core.lock").unlink())
        fcntl.flock(descriptor, how)

    monkeypatch.setattr(lock_files, "fcntl", type("Fcntl", (), {**vars(fcntl), "flock": staticmethod(flock)}))
    first, second = FileLocks(tmp_path, WORDS), FileLocks(tmp_path, WORDS)
    assert first.take(["core"]) == {"core"}
    assert removed
    assert second.take(["core"]) == set()
    first.close()


def test_a_program_that_is_started_meanwhile_does_not_keep_the_lock(tmp_path: Path) -> None:
    first, second = FileLocks(tmp_path, WORDS), FileLocks(tmp_path, WORDS)
    first.take(["core"])
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as program:
        first.close()
        assert second.take(["core"]) == {"core"}
        program.kill()
    second.close()


def test_a_file_that_cannot_be_made_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "day").write_text("in the way")
    locks = FileLocks(tmp_path / "day", WORDS)
    with pytest.raises(StoreError, match=r"day/core\.lock cannot be locked: .* must be able to write"):
        locks.take(["core"])
    locks.close()


def test_many_files_raise_the_limit_of_open_ones(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    locks = FileLocks(tmp_path, WORDS)
    try:
        wanted = [f"p{number}" for number in range(400)]
        assert locks.take(wanted) == set(wanted)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 400
    finally:
        locks.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_files_than_the_system_permits_are_refused_with_the_remedy() -> None:
    with pytest.raises(StoreError, match=r"1099511627776 portfolios at once need .* permits .*: raise the limit"):
        require_descriptors(2**40)


def test_many_come_and_go_and_remove_the_folders_that_another_is_about_to_use(tmp_path: Path) -> None:
    folder = tmp_path / "a.db.locks" / "2026-07-31"

    def come_and_go(name: str) -> int:
        taken = 0
        for _ in range(200):
            locks = FileLocks(folder, Words("me", NOON))
            taken += len(locks.take([name]))
            locks.close()
        return taken

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(come_and_go, "abcdefgh")) == [200] * 8
    assert not folder.parent.exists()
