"""Tables are created by migrations, and are those that the program declares."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.store import engine_from_url, init, publish, read_current, read_runs, require_current, tables
from core.store.database import reading, writing
from core.store.upgrade import OPTIONS, _config
from tests.core.store.samples import NOON, TODAY, record
from tests.postgres import PostgresServer


def test_the_migrated_tables_are_the_declared_ones(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS | {"compare_type": True})
        differences = compare_metadata(context, tables.metadata)
    dated = sorted(name for name, table in tables.inputs.items() if "as_of" in table.c)
    of_sqlite = [index for verb, index in differences if verb == "remove_index"]
    assert len(of_sqlite) == len(differences)
    assert sorted(index.table.name for index in of_sqlite) == (dated if engine.dialect.name == "sqlite" else [])
    assert {str(index.dialect_options["sqlite"]["where"]) for index in of_sqlite} <= {str(tables.NO_DATE)}


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
    with pytest.raises(StoreError, match=r"positions.*did not make.*a database of its own"):
        init(bare_engine)
    with pytest.raises(StoreError, match="no tables of Evenkeel's yet: run `evenkeel init`"):
        require_current(bare_engine)
    assert sa.inspect(bare_engine).get_table_names() == ["positions"]


def test_a_failed_migration_leaves_nothing(bare_engine: Engine) -> None:
    with writing(bare_engine, "test") as connection:
        connection.execute(sa.text("CREATE VIEW current_targets AS SELECT 1"))
    with pytest.raises(StoreError, match="current_targets"):
        init(bare_engine)
    assert sa.inspect(bare_engine).get_table_names() == []


OLD_RUNS = """
INSERT INTO runs (run_id, batch_id, portfolio_id, as_of, status, policy_name, policy_hash, policy, inputs_hash,
                  program_version, started_at, finished_at, supersedes)
VALUES ('r1', 'b', 'core', '2026-07-31', 'published', 'p', 'h', '', 'i', '0', {noon}, {noon}, NULL),
       ('r2', 'b', 'core', '2026-07-31', 'superseded', 'p', 'h', '', 'i', '0', {noon}, {noon}, NULL),
       ('r3', 'b', 'core', '2026-07-31', 'refused', 'p', 'h', '', 'i', '0', {noon}, {noon}, NULL),
       ('r4', 'b', 'other', '2026-07-31', 'published', 'p', 'h', '', 'i', '0', {noon}, {noon}, NULL)
"""  # as SQL that any version of the program would have written: the tables in `core` are those of today
OLD_TARGET = """
INSERT INTO targets (run_key, portfolio_id, as_of, symbol, is_cash, action, priority, bucket, score, confidence,
                     current_weight, wanted_weight, target_weight, trade_weight, close, reason)
VALUES (1, 'core', '2026-07-31', '{symbol}', {cash}, 'open', 'trending', 'Energy', 0.7, 0.8, 0, 0.1, 0.1, 0.1, 50, '')
"""
REVISIONS = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
NEWEST = REVISIONS[0]


def _filled(engine: Engine, revision: str) -> None:
    """A database as a program of this revision left it."""
    zone = "" if engine.dialect.name == "sqlite" else "+00"
    noon = f"'2026-07-31 12:00:00.000000{zone}'"
    with writing(engine, "test") as connection:
        config = _config()
        config.attributes.update(connection=connection, options=OPTIONS)
        command.upgrade(config, revision)
        connection.execute(sa.text("INSERT INTO prices (as_of, symbol, close) VALUES ('2026-07-30', 'O''Neil', 50.25)"))
        connection.exec_driver_sql(OLD_RUNS.format(noon=noon))
        for symbol, cash in (("AAA", "FALSE"), ("$CASH", "TRUE")):
            connection.exec_driver_sql(OLD_TARGET.format(symbol=symbol, cash=cash))


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_what_an_earlier_version_left_stays_as_it_was(bare_engine: Engine, revision: str) -> None:
    _filled(bare_engine, revision)
    with pytest.raises(StoreError, match=rf"version {revision} of an older program.*run `evenkeel init`"):
        require_current(bare_engine)
    before = _rows(bare_engine, "prices", "targets", "runs")
    init(bare_engine)
    require_current(bare_engine)
    after = _rows(bare_engine, "prices", "targets", "runs")
    assert {
        name: [row.items() <= now.items() for row, now in zip(before[name], after[name], strict=True)]
        for name in before
    } == {name: [True] * len(rows) for name, rows in before.items()}
    assert read_runs(bare_engine)["started_at"].to_list() == [NOON] * 4
    assert read_current(bare_engine)["symbol"].to_list() == ["$CASH", "AAA"]


def _rows(engine: Engine, *names: str) -> dict[str, list[dict[str, object]]]:
    with reading(engine) as connection:
        order = {name: " ORDER BY 1, 2" if name == "runs" else " ORDER BY symbol" for name in names}
        found = {name: connection.execute(sa.text(f"SELECT * FROM {name}{order[name]}")) for name in names}  # noqa: S608
        return {name: [dict(row) for row in rows.mappings()] for name, rows in found.items()}


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_what_was_current_when_is_written_down_for_runs_of_before(bare_engine: Engine, revision: str) -> None:
    _filled(bare_engine, revision)
    init(bare_engine)
    promotions = tables.promotions.c
    columns = (promotions.portfolio_id, promotions.run_key, promotions.replaced, promotions.promoted_at)
    with reading(bare_engine) as connection:
        found = connection.execute(sa.select(*columns).order_by(promotions.promotion_key)).all()
    assert sorted(found) == [("core", 1, 2, NOON), ("core", 2, None, NOON), ("other", 4, None, NOON)]
    keys = [row.run_key for row in found]
    assert keys.index(2) < keys.index(1)  # the superseded one first, the current one last


def test_times_have_their_zone(postgres_server: PostgresServer, postgres: str, root: Path) -> None:
    engine = engine_from_url(f"{postgres}&options=-ctimezone%3DAsia/Tokyo")
    publish(engine, root, record(), NOON)
    assert read_runs(engine)["started_at"].to_list() == [NOON]
    utc = "SELECT DISTINCT finished_at AT TIME ZONE 'UTC', pg_typeof(started_at)::text FROM runs".replace(":", "\\:")
    with reading(engine) as connection:
        assert connection.execute(sa.text(utc)).all() == [(NOON.replace(tzinfo=None), "timestamp with time zone")]
    times = [
        column
        for table in tables.metadata.tables.values()
        for column in table.c
        if isinstance(column.type, tables.Moment)
    ]
    kinds = {
        name: {c["name"]: c["type"] for c in sa.inspect(engine).get_columns(name)} for name in tables.metadata.tables
    }
    assert len(times) > 1
    assert all(kinds[column.table.name][column.name].timezone for column in times)
    engine.dispose()


def test_a_file_that_is_no_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is a letter, not a database, and long enough to be taken for one" * 20)
    engine = engine_from_url(f"sqlite:///{tmp_path}/x.db")
    for step in (init, require_current):
        with pytest.raises(StoreError, match=r"x\.db refuses: file is not a database. Name another file"):
            step(engine)


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
        assert set(imports) <= {"import sqlalchemy as sa", "from alembic import op", "from uuid import uuid4"}
