"""Creating and upgrading the tables: `init` does it, `require_current` says whether it has been done.

The migrations are Alembic's, run without a configuration file. Their state stands in a version table of Evenkeel's own
name, so that the database may be shared with other programs that use Alembic.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.store.database import reading, writing
from core.store.tables import metadata
from core.version import __version__

OPTIONS: dict[str, Any] = {"version_table": "evenkeel_version"}


def init(engine: Engine) -> None:
    """Create the tables, or upgrade them to this program; nothing happens where they are current.

    Raises `StoreError` where the database belongs to a newer program, or where tables of these names, not made by
    Evenkeel, are in the way.
    """
    with writing(engine, lock="init") as connection:
        config = _config()
        _require_ours(connection, ScriptDirectory.from_config(config))
        config.attributes.update(connection=connection, options=OPTIONS)
        command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Raise `StoreError`, with the remedy, unless the tables are those of this program."""
    script = ScriptDirectory.from_config(_config())
    with reading(engine) as connection:
        revision = _revision(connection)
        if revision == script.get_current_head():
            return
        _require_known(revision, script)
    state = "has no tables of Evenkeel's yet" if revision is None else f"is at version {revision} of an older program"
    raise StoreError(f"the database {engine.url.set(query={})} {state}: run `evenkeel init`.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts=OPTIONS).get_current_revision()


def _require_known(revision: str | None, script: ScriptDirectory) -> None:
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise StoreError(
            f"the database is at version {revision}, which Evenkeel {__version__} does not know: "
            "it was made by a newer program; install that one."
        )


def _require_ours(connection: Connection, script: ScriptDirectory) -> None:
    revision = _revision(connection)
    _require_known(revision, script)
    strangers = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
    if revision is None and strangers:
        raise StoreError(
            f"the database already has tables {', '.join(strangers)} that Evenkeel did not make: give Evenkeel a "
            "database of its own, and name your tables in the queries of the policy."
        )
