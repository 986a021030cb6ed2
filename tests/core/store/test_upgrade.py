"""Tables are created by migrations, and are those that the program declares."""

from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.store import init, require_current, run_rows, tables
from core.store.database import reading, writing
from core.store.upgrade import OPTIONS, _config
from tests.core.store.samples import NOON, TODAY, record


def test_the_migrated_tables_are_the_declared_ones(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS | {"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_migrated_keys_are_the_declared_ones(engine: Engine) -> None:
    found = sa.inspect(engine)
    for name, table in tables.metadata.tables.items():
        assert found.get_pk_constraint(name)["constrained_columns"] == [column.name for column in table.primary_key]


def test_the_migrated_index_of_published_runs_is_the_declared_one(engine: Engine) -> None:
    (index,) = tables.runs.indexes
    (found,) = [row for row in sa.inspect(engine).get_indexes("runs") if row["name"] == index.name]
    option = f"{engine.dialect.name}_where"
    words = [
        str(where).replace("::text", "").strip("()") for where in (found["dialect_options"][option], _where(index))
    ]
    assert words[0] == words[1]


def _where(index: sa.Index) -> object:
    where = {str(index.dialect_options[name]["where"]) for name in ("sqlite", "postgresql")}
    assert len(where) == 1
    return where.pop()


def test_the_view_has_the_declared_columns(engine: Engine) -> None:
    columns = [column["name"] for column in sa.inspect(engine).get_columns("current_targets")]
    assert columns == tables.current_targets.c.keys()


def test_a_database_without_tables_is_told_the_remedy(bare_engine: Engine) -> None:
    with pytest.raises(StoreError, match="run `evenkeel init`"):
        require_current(bare_engine)


def test_initialising_twice_changes_nothing(engine: Engine) -> None:
    with writing(engine, "test") as connection:
        connection.execute(sa.text("INSERT INTO portfolios (portfolio_id) VALUES ('core')"))
    init(engine)
    require_current(engine)
    with reading(engine) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM portfolios")) == 1


def test_a_newer_database_is_refused(engine: Engine) -> None:
    with writing(engine, "test") as connection:
        connection.execute(sa.text("UPDATE evenkeel_version SET version_num = '9999'"))
    for step in (init, require_current):
        with pytest.raises(StoreError, match=r"9999.*newer"):
            step(engine)


def test_tables_of_somebody_else_are_not_touched(bare_engine: Engine) -> None:
    with writing(bare_engine, "test") as connection:
        connection.execute(sa.text("CREATE TABLE positions (ticker TEXT)"))
    with pytest.raises(StoreError, match=r"positions.*did not make"):
        init(bare_engine)
    assert sa.inspect(bare_engine).get_table_names() == ["positions"]


def test_a_failed_migration_leaves_nothing(bare_engine: Engine) -> None:
    with writing(bare_engine, "test") as connection:
        connection.execute(sa.text("CREATE VIEW current_targets AS SELECT 1"))
    with pytest.raises(StoreError, match="current_targets"):
        init(bare_engine)
    assert sa.inspect(bare_engine).get_table_names() == []


def test_runs_of_the_first_version_stay_as_they_were(bare_engine: Engine) -> None:
    with writing(bare_engine, "test") as connection:
        config = _config()
        config.attributes.update(connection=connection, options=OPTIONS)
        command.upgrade(config, "0001")
        connection.execute(sa.insert(tables.runs), [_run("r1", "published")])
        old = record().targets.with_columns(run_key=pl.lit(1))
        connection.execute(sa.insert(tables.outputs["targets"]), old.to_dicts())
    with pytest.raises(StoreError, match=r"version 0001 of an older program.*run `evenkeel init`"):
        require_current(bare_engine)
    init(bare_engine)
    require_current(bare_engine)
    assert run_rows(bare_engine, "targets", "r1").equals(record().targets)
    for table in ("decisions", "explanations", "relaxations"):
        assert run_rows(bare_engine, table, "r1").is_empty()


@pytest.mark.parametrize("status", ["published", "superseded", "refused", "pending"])
def test_only_one_run_of_a_portfolio_and_date_is_published(engine: Engine, status: str) -> None:
    two = [_run("r1", status), _run("r2", status)]
    if status != "published":
        _insert(engine, two)
        return
    with pytest.raises(StoreError, match=r"UNIQUE|uq_runs_published"):
        _insert(engine, two)


def test_an_unknown_status_is_refused(engine: Engine) -> None:
    with pytest.raises(StoreError, match="ck_runs_status"):
        _insert(engine, [_run("r1", "done")])


def _insert(engine: Engine, rows: list[dict[str, object]]) -> None:
    with writing(engine, "test") as connection:
        connection.execute(sa.insert(tables.runs), rows)


def _run(run_id: str, status: str) -> dict[str, object]:
    words = ("batch_id", "portfolio_id", "policy_name", "policy_hash", "policy", "inputs_hash", "program_version")
    moments = {"started_at": NOON, "finished_at": NOON}
    return dict.fromkeys(words, "x") | moments | {"run_id": run_id, "status": status, "as_of": TODAY}


def test_migrations_import_nothing_of_the_program() -> None:
    versions = Path(tables.__file__).parent / "migrations" / "versions"
    for file in versions.glob("v*.py"):
        imports = [line for line in file.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert imports == ["import sqlalchemy as sa", "from alembic import op"]
