"""Addresses and transactions."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.store import engine_from_url, is_outage
from core.store.database import reading, writing

INSERT = sa.text("INSERT INTO portfolios VALUES ('core', 'Core', 'USD', TRUE)")
COUNT = sa.text("SELECT count(*) FROM portfolios")


def test_the_folder_of_an_sqlite_file_is_created(tmp_path: Path) -> None:
    engine_from_url(f"sqlite:///{tmp_path}/a/b/c.db")
    assert (tmp_path / "a/b").is_dir()


@pytest.mark.parametrize("url", ["", "evenkeel.db", "oracle9://u:secret@h/d", "postgresql+nothing://u:secret@h/d"])
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///var/evenkeel\.db") as refusal:
        engine_from_url(url)
    assert "secret" not in str(refusal.value)


def test_an_unreachable_server_is_noticed_unless_the_address_says_otherwise(postgres: str) -> None:
    for address, idle in ((postgres, "30"), (f"{postgres}&keepalives_idle=300", "300")):
        engine = engine_from_url(address)
        with engine.connect() as connection:
            used = connection.connection.driver_connection.info.get_parameters()
        engine.dispose()
        assert (used["keepalives_idle"], used["keepalives_interval"], used["keepalives_count"]) == (idle, "10", "3")


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        engine_from_url(f"sqlite:///{tmp_path}/file/x.db")


def test_a_file_that_is_no_database_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is a letter, not a database, and long enough to be taken for one")
    engine = engine_from_url(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StoreError, match="not a database"), reading(engine) as connection:
        connection.execute(COUNT)


def test_an_error_does_not_repeat_a_password_of_the_query_string(tmp_path: Path) -> None:
    engine = engine_from_url(f"sqlite:///{tmp_path}/x.db?timeout=1")
    with pytest.raises(StoreError) as refusal, reading(engine) as connection:
        connection.execute(COUNT)
    assert "timeout" not in str(refusal.value)
    assert "evenkeel init" in str(refusal.value)


def test_reading_cannot_write(engine: Engine) -> None:
    with pytest.raises(StoreError, match=r"read-?only"), reading(engine) as connection:
        connection.execute(INSERT)


def test_writing_works_after_reading_on_the_same_connection(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 0
    with writing(engine, "test") as connection:
        connection.execute(INSERT)
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 1


def test_what_fails_half_way_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(StoreError, match="nowhere"), writing(engine, "test") as connection:
        _insert_and_fail(connection)
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 0


def _insert_and_fail(connection: Connection) -> None:
    connection.execute(INSERT)
    connection.execute(sa.text("SELECT * FROM nowhere"))


def test_nobody_changes_what_is_being_read(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("others let a writer go on, and the reader see what it saw")
    other = sqlite3.connect(engine.url.database or "", timeout=0)
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 0
        other.execute(INSERT.text)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.commit()
        assert connection.scalar(COUNT) == 0
    other.close()


def test_a_busy_or_absent_database_is_an_outage(tmp_path: Path) -> None:
    engine = engine_from_url(f"sqlite:///{tmp_path}/gone/x.db")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StoreError) as away, reading(engine) as connection:
        connection.execute(COUNT)
    assert is_outage(away.value)


def test_what_is_wrong_with_the_content_is_no_outage(engine: Engine) -> None:
    with pytest.raises(StoreError) as refused, writing(engine, "test") as connection:
        connection.execute(sa.text("INSERT INTO portfolios (portfolio_id) VALUES (NULL)"))
    assert not is_outage(refused.value)


def test_a_query_that_is_wrong_is_no_outage(engine: Engine) -> None:
    with pytest.raises(StoreError) as refused, reading(engine) as connection:
        connection.execute(sa.text("SELECT nothing FROM portfolios"))
    assert not is_outage(refused.value)
