"""Lock files: who works on which portfolio, beside a database that is itself a file.

`FileLocks` keeps one file per portfolio locked (flock); the operating system frees it when the process dies, however it
dies. A file is removed when it is released, so one that was locked may no longer be the one that its path names, and
`_locked` looks again. What a killed process leaves behind locks nothing, and is used again. In a locked file stand its
holder's `Words`.
"""

import datetime as dt
import fcntl
import json
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from core.errors import StoreError
from core.store.forks import give_up, keep_from_children

LONGEST_NAME = 255  # bytes, on the file systems there are
SPARE_DESCRIPTORS = 200  # for what the process opens besides


@dataclass(frozen=True)
class Words:
    """What a holder says of itself: who it is, and since when it is at work, in UTC."""

    holder: str
    since: dt.datetime


class FileLocks:
    """The lock files of one folder that this object holds."""

    def __init__(self, folder: Path, words: Words):
        self._folder = folder
        self._words = words
        self._descriptors: dict[Path, int] = {}

    def take(self, portfolio_ids: Sequence[str]) -> set[str]:
        """Lock the files of the portfolios that are free, and write our words into them; returns these portfolios."""
        require_descriptors(len(portfolio_ids))
        return {portfolio_id for portfolio_id in portfolio_ids if self._take(self._path(portfolio_id))}

    def words(self, portfolio_ids: Iterable[str]) -> dict[str, Words]:
        """What is said in the files of portfolios; one whose holder is just coming or going says nothing."""
        found = {portfolio_id: _read(self._path(portfolio_id)) for portfolio_id in portfolio_ids}
        return {portfolio_id: words for portfolio_id, words in found.items() if words is not None}

    def require_held(self) -> None:
        """Raise `StoreError` where a lock file is no longer the one that was locked."""
        for path, descriptor in self._descriptors.items():
            with _explained(path):
                same = _names(path, descriptor)
            if not same:
                raise StoreError(
                    f"the lock file {path} was removed while its run was at work, so that another may have started. "
                    "Nothing more is published; run again, and leave the lock files to Evenkeel."
                )

    def close(self) -> None:
        """Release and remove all that is held, and the folders if nobody else needs them."""
        for path, descriptor in self._descriptors.items():
            with suppress(OSError):  # a file that stays behind locks nothing
                if _names(path, descriptor):  # another process may have had ours removed
                    path.unlink()
            _drop(descriptor)
        self._descriptors.clear()
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):  # in use, or never made
                folder.rmdir()

    def _path(self, portfolio_id: str) -> Path:
        name = f"{quote(portfolio_id, safe='')}.lock"
        if len(name) > LONGEST_NAME:  # quoted, no name has a =
            name = f"sha256={sha256(portfolio_id.encode()).hexdigest()}.lock"
        return self._folder / name

    def _take(self, path: Path) -> bool:
        with _explained(path):
            descriptor = _locked(path)
            if descriptor is not None:
                self._descriptors[path] = descriptor
                _write(descriptor, self._words)
        return descriptor is not None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be locked: {error.strerror}. Every user that runs Evenkeel on this database must be able "
            "to write in its folder, and to files that others made there."
        ) from error


def _locked(path: Path) -> int | None:
    """A descriptor of the file, which is made and locked; none where somebody else holds it."""
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _drop(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        if _names(path, descriptor):
            return descriptor
        _drop(descriptor)  # its holder removed it between our opening and locking it


def _opened(path: Path) -> int:
    while True:
        _make(path.parent.parent)
        with suppress(FileNotFoundError):  # whoever was the last in the folders has just removed them
            _make(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            keep_from_children(descriptor)
            return descriptor


def _make(folder: Path) -> None:
    with suppress(FileExistsError):  # `mkdir(exist_ok=True)` raises it of a folder that is removed meanwhile
        folder.mkdir()


def _drop(descriptor: int) -> None:
    give_up(descriptor)
    os.close(descriptor)


def _names(path: Path, descriptor: int) -> bool:
    """Whether the path names the file that is open, and not a later one or none."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, words: Words) -> None:
    said = json.dumps({"holder": words.holder, "since": words.since.isoformat()}).encode()
    os.pwrite(descriptor, said, 0)
    if os.fstat(descriptor).st_size > len(said):  # of a killed holder; a file cut to nothing is slow to close on ext4
        os.ftruncate(descriptor, len(said))


def _read(path: Path) -> Words | None:
    try:
        said = json.loads(path.read_bytes())
        return Words(said["holder"], dt.datetime.fromisoformat(said["since"]))
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # removed, not written yet, or not by us
        return None


def require_descriptors(count: int) -> None:
    """Let the process have so many more files open. Raises `StoreError` where the system does not permit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = len(os.listdir("/dev/fd")) + count + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError) as error:
        raise StoreError(
            f"{count} portfolios at once need {needed} open files, and the system permits {hard}: raise the limit "
            f"(`ulimit -Hn {needed}`), run fewer portfolios at once, or use PostgreSQL."
        ) from error
