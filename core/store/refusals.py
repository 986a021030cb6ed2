"""What a database refuses, in words, with the remedy, and without passwords.

`explained` makes a `StoreError` of what SQLAlchemy raises; `driver_errors` is for those who talk to a driver past
SQLAlchemy: what it raises becomes what SQLAlchemy would have raised. `is_outage` tells which errors may be tried again.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from core.errors import StoreError

SQLITE_AWAY = ("locked", "busy", "unable to open", "disk I/O")  # as its messages say

# PostgreSQL's documentation, appendix A: connections that failed or were ended, servers that stop or start, too many
# connections, and transactions that lost against another one.
AWAY_STATES = frozenset(
    {
        *("08000", "08001", "08003", "08006", "08007", "25P03", "40001"),
        *("40P01", "53300", "55P03", "57P01", "57P02", "57P03", "57P05"),
    }
)
AWAY_WORDS = (
    # a server that answers, but not now; while connecting, drivers give its words without its code
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting connections",
    "too many clients",
    "too many connections",
    "connection slots",
    "terminating connection",
    # no server, or no longer
    "is the server running",
    "connection refused",
    "connection reset",
    "the connection is closed",
    "the connection is lost",
    "closed the connection",
    "no connection to the server",
    "could not receive data",
    "could not send data",
    "consuming input failed",
    "sending query failed",
    "broken pipe",
    "syscall error",
    "ssl connection has been closed",
    "timed out",
    "timeout expired",
    "resolve host",
    "translate host name",
    "no route to host",
    "network is unreachable",
)

# What to do about words in a message: the first that fit.
REMEDIES = (
    (("not a database",), "Name another file in EVENKEEL_DATABASE_URL, or move this one away."),
    (
        ("no such table", "no such column", "no such view", "does not exist"),
        "Check that EVENKEEL_DATABASE_URL names the right database and role, and run `evenkeel init` for its tables.",
    ),
    (
        ("authentication failed", "no password supplied", "pg_hba.conf"),
        "Correct user and password: in EVENKEEL_DATABASE_URL, or in a password file.",
    ),
    (
        ("permission denied", "must be owner"),
        "Let the owner grant what is missing to this role; docs/database.md lists the least that is needed.",
    ),
    (("read-only", "readonly"), "Let its user write to the database, the file and its folder; a query may only read."),
    (("is full", "no space left", "could not extend"), "Free some space; nothing was written."),
    (("locked", "busy"), "Another process is writing: try again when it is done."),
)

REMEDY = (
    "Check that EVENKEEL_DATABASE_URL is right, that the database is up and not locked by another process, and that "
    "`evenkeel init` has created its tables."
)


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Make a `StoreError` of what the database refuses: the address, its reason, and what to do."""
    try:
        yield
    except DBAPIError as error:
        address = engine.url.set(query={}).render_as_string(hide_password=True)
        reason = _without_password(reason_of(error), engine)
        raise StoreError(f"the database {address} refuses: {reason}. {_remedy(reason)}") from error


@contextmanager
def driver_errors(driver: type[Exception]) -> Iterator[None]:
    """Make what a driver raises, of its class of errors `driver`, the `DBAPIError` that SQLAlchemy makes of it."""
    try:
        yield
    except driver as error:
        raise DBAPIError.instance(None, None, error, driver) from error


def reason_of(error: DBAPIError) -> str:
    """What the driver says, in one line and without the query that some repeat."""
    said, _, _ = str(error.orig).partition("\n\nQuery was:")
    return " ".join(said.split()).rstrip(".")


def _without_password(text: str, engine: Engine) -> str:
    """A driver may repeat the address that it was given."""
    _, given = engine.dialect.create_connect_args(engine.url)
    password = given.get("password")
    return text.replace(str(password), "***") if password else text


def _remedy(reason: str) -> str:
    said = reason.lower()
    return next((remedy for words, remedy in REMEDIES if any(word in said for word in words)), REMEDY)


def is_outage(error: BaseException) -> bool:
    """Whether an error of the store is the database's being away or busy, so that trying again may help."""
    cause = error.__cause__
    return isinstance(error, StoreError) and isinstance(cause, DBAPIError) and is_away(cause)


def is_away(error: DBAPIError) -> bool:
    """Whether the database is away or busy.

    Told by PostgreSQL's error code where there is one, else by the words of the driver. SQLite calls a wrong query an
    operational error too; there, only a lock or a file that cannot be opened is one.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return any(word in str(error.orig) for word in SQLITE_AWAY)
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in AWAY_STATES
    said = reason_of(error).lower()
    return any(word in said for word in AWAY_WORDS)
