"""Dates in SQLite that are none: an index of the few rows that have one, so that every batch can look for them."""

from alembic import op

revision = "0005"
down_revision = "0004"

DATED = ("positions", "cash", "prices", "signals", "candidates")


def upgrade() -> None:
    """Create the indexes; other databases keep no such dates."""
    if op.get_context().dialect.name == "sqlite":
        for table in DATED:
            op.execute(
                f"CREATE INDEX ix_{table}_no_date ON {table} (as_of) "
                "WHERE date(substr(as_of, 1, 10), '+0 days') IS NOT substr(as_of, 1, 10)"
            )
