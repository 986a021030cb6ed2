"""The points at which a run can be killed, found from outside: production code knows nothing of them.

`watched` wraps, in this process, what a run does to the world: calls of tasks (`_watch_tasks`), files below one folder
(`_watch_files`), statements and commits that write (`_watch_statements`), and what goes past SQLAlchemy: reads of
PostgreSQL (`_watch_reads`) and rows in bulk (`_watch_rows`). Each calls `reached` with the name of the point, before,
in the midst and after. Names repeat from run to run: what is drawn at random in them is left out. What `reached` raises
comes out of the wrapped call, which is how a disk is full here, or an answer lost.
"""

import fcntl
import os
import pathlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
from adbc_driver_manager.dbapi import Cursor
from prefect.tasks import Task
from psycopg import Copy
from sqlalchemy.engine.default import DefaultDialect

Reached = Callable[[str], None]

BY_PATH = ("replace", "mkdir", "unlink", "rmdir")
BY_DESCRIPTOR = ("fsync", "pwrite", "ftruncate")
READS = "evenkeel_reads"  # as `core.store.database` marks a connection that only reads


@contextmanager
def watched(reached: Reached, folder: Path) -> Iterator[None]:
    """Tell of every point that this process comes to."""
    with ExitStack() as stack:
        _watch_tasks(stack, reached)
        _watch_files(stack, reached, folder)
        _watch_statements(stack, reached)
        _watch_reads(stack, reached)
        _watch_rows(stack, reached)
        yield


def _around(stack: ExitStack, owner: Any, name: str, reached: Reached, named: Callable[..., str | None]) -> None:
    """Wrap a function of a module or class; what `named` has no name for is left alone."""
    real = getattr(owner, name)

    def told(*args: Any, **kwargs: Any) -> Any:
        what = named(*args, **kwargs)
        if what is None:
            return real(*args, **kwargs)
        reached(f"before {what}")
        done = real(*args, **kwargs)
        reached(f"after {what}")
        return done

    stack.enter_context(patch.object(owner, name, told))


def _listen(stack: ExitStack, event: str, heard: Callable[..., None]) -> None:
    sa.event.listen(sa.Engine, event, heard)
    stack.callback(sa.event.remove, sa.Engine, event, heard)


def _watch_tasks(stack: ExitStack, reached: Reached) -> None:
    _around(stack, Task, "__call__", reached, lambda task, *_, **__: f"task {task.name}")


# files


def _watch_files(stack: ExitStack, reached: Reached, folder: Path) -> None:
    def of_path(verb: str) -> Callable[..., str | None]:
        return lambda path, *_, **__: _said(verb, _below(folder, path))

    def of_descriptor(verb: str) -> Callable[..., str | None]:
        return lambda descriptor, *_, **__: _said(verb, _below(folder, os.readlink(f"/proc/self/fd/{_fd(descriptor)}")))

    for name in BY_PATH:
        _around(stack, os, name, reached, of_path(name))
    for name in BY_DESCRIPTOR:
        _around(stack, os, name, reached, of_descriptor(name))
    _around(stack, fcntl, "flock", reached, of_descriptor("flock"))
    _around(stack, os, "open", reached, _creates(of_path("create")))
    _watch_writes(stack, reached, folder)


def _creates(named: Callable[..., str | None]) -> Callable[..., str | None]:
    return lambda path, flags, *_, **__: named(path) if flags & os.O_CREAT else None


def _fd(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def _below(folder: Path, path: Any) -> str | None:
    """A path below the folder, without what is drawn at random and with hashes cut short; none for another path."""
    try:
        short = str(Path(os.fsdecode(path)).relative_to(folder))
    except (TypeError, ValueError):
        return None
    return re.sub(r"[0-9a-f]{16,}", lambda found: found[0][:6], re.sub(r"\.[0-9a-f]+\.tmp", "*.tmp", short))


def _said(verb: str, path: str | None) -> str | None:
    return None if path is None else f"{verb} {path}"


def _watch_writes(stack: ExitStack, reached: Reached, folder: Path) -> None:
    real = pathlib.Path.open

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        file = real(path, mode, *args, **kwargs)
        name = _below(folder, path)
        return file if name is None or not {*mode} & {*"wxa"} else _Halved(file, name, reached)

    stack.enter_context(patch.object(pathlib.Path, "open", opened))


class _Halved:
    """A file that is written in two halves."""

    def __init__(self, file: Any, name: str, reached: Reached) -> None:
        self._file = file
        self._name = name
        self._reached = reached
        reached(f"created {name}")

    def write(self, content: bytes) -> int:
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._reached(f"half of {self._name} is written")
        self._file.write(content[half:])
        return len(content)

    def __enter__(self) -> "_Halved":
        return self

    def __exit__(self, *raised: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


# the database


def _watch_statements(stack: ExitStack, reached: Reached) -> None:
    """Before and after each statement and commit of a transaction that writes."""
    writing: set[int] = set()  # the driver's connections that are about to commit what they wrote

    def told(when: str, connection: Any, statement: str) -> None:
        if not connection.get_execution_options().get(READS):
            reached(f"{when} {_words(statement)}")

    def before(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        told("before", connection, statement)

    def after(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        told("after", connection, statement)

    def committing(connection: Any) -> None:
        if not connection.get_execution_options().get(READS):
            writing.add(id(connection.connection.dbapi_connection))

    def named(_dialect: Any, connection: Any) -> str | None:
        driver = id(connection.dbapi_connection)
        return "commit" if driver in writing and (writing.discard(driver) or True) else None

    _listen(stack, "before_cursor_execute", before)
    _listen(stack, "after_cursor_execute", after)
    _listen(stack, "commit", committing)
    _around(stack, DefaultDialect, "do_commit", reached, named)


def _watch_reads(stack: ExitStack, reached: Reached) -> None:
    _around(stack, Cursor, "execute", reached, lambda _cursor, statement, *_: f"reading: {_words(statement)}")


def _words(statement: str) -> str:
    """The beginning of a statement: its verb and table."""
    return " ".join(re.sub(r"\(.*", "", " ".join(statement.split())).split()[:4])


def _watch_rows(stack: ExitStack, reached: Reached) -> None:
    """Rows that go past SQLAlchemy: by COPY in PostgreSQL, by executemany in SQLite."""
    write = Copy.write

    def halved(copy: Any, content: Any) -> None:
        whole = memoryview(content)
        reached("before rows are copied")
        write(copy, bytes(whole[: len(whole) // 2]))
        reached("half of the rows are copied")
        write(copy, bytes(whole[len(whole) // 2 :]))
        reached("after rows are copied")

    stack.enter_context(patch.object(Copy, "write", halved))
    _around(stack, Copy, "__exit__", reached, lambda *_: "the end of a copy")

    class Connection(sqlite3.Connection):
        def executemany(self, statement: str, rows: Any) -> Any:  # type: ignore[override]
            known, words = list(rows), _words(statement)
            reached(f"before rows: {words}")
            super().executemany(statement, known[: len(known) // 2])
            reached(f"half of the rows: {words}")
            done = super().executemany(statement, known[len(known) // 2 :])
            reached(f"after rows: {words}")
            return done

    def connecting(dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
        if dialect.name == "sqlite":
            options["factory"] = Connection

    _listen(stack, "do_connect", connecting)
