"""The database file: looked at without a trace, created, brought up to date, connected to.

What is particular to SQLite, and to being a file, is here; the statements of store.py are not.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, insert, inspect, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.errors import BadDatabase
from bot.store.cipher import Cipher
from bot.store.tables import meta

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 5.0
_KEY_CHECK = "key_check"
_KEY_CHECK_COLUMN = "meta.value"
# No SQLite page is smaller, so no database is; SQLite itself takes a one-byte file for an empty database.
_SMALLEST = 512
_TRIES = 3


class DatabaseState(StrEnum):
    """What `check_database` found: nothing yet, a database that opening will bring up to date, or a ready one."""

    NEW = "new"
    OLD = "old"
    CURRENT = "current"


def check_database(path: Path, cipher: Cipher) -> DatabaseState:
    """Whether the database could be opened with this key. Changes nothing on disk, also beside the file.

    Raises BadDatabase or WrongKey with a sentence that says what to do.
    """
    _check_access(path)
    if not path.exists():
        return DatabaseState.NEW
    failure: SQLAlchemyError | OSError
    for _ in range(_TRIES):
        before = _side_files(path)
        try:
            with _traceless_address(path) as address, _reader(address).connect() as connection:
                return _judge(connection, path, cipher)
        except (SQLAlchemyError, OSError) as error:
            failure = error
        # Where a process just came or went, its side files appear or vanish under our hands: then look again.
        if _side_files(path) == before:
            break
    raise BadDatabase(f"{path}: {reason(failure)}") from failure


def prepare_database(path: Path, cipher: Cipher) -> None:
    """Check the database, then create it or bring it up to date where that is needed, wholly or not at all.

    Raises BadDatabase or WrongKey; then nothing was changed, or, if the writing failed, no table was.
    """
    if check_database(path, cipher) is DatabaseState.CURRENT:
        return
    failure: SQLAlchemyError | OSError
    for _ in range(_TRIES):
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            _migrate(path, cipher)
            return
        except (SQLAlchemyError, OSError) as error:
            failure = error
        # Of two processes that switch a new file to WAL at the same moment, SQLite turns one away without a wait.
        if reason(failure) != _LOCKED:
            break
    raise BadDatabase(f"{path}: {reason(failure)}") from failure


def connect(path: Path) -> AsyncEngine:
    """An engine over one connection: SQLite has one writer, and waiting in the pool is fair where its lock is not."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path.resolve())),
        pool_size=1,
        max_overflow=0,
        # Every transaction here is ended by whoever began it; a second ROLLBACK would only cost time.
        pool_reset_on_return=None,
        connect_args=_connect_arguments(),
        hide_parameters=True,
    )
    _configure(engine.sync_engine)
    return engine


def reason(error: SQLAlchemyError | OSError) -> str:
    """What went wrong and what to do about it, in Korean, without the statement or its values."""
    if isinstance(error, OSError):
        return f"파일을 읽거나 쓸 수 없어요({error.strerror}). 경로와 권한, 디스크에 남은 자리를 확인해 주세요."
    original = error.orig if isinstance(error, DBAPIError) else None
    # Extended result codes carry the primary one in their low byte (sqlite.org/rescode.html).
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    return _REASONS.get(code, "데이터베이스가 요청을 처리하지 못했어요. 기록(로그)에 남은 까닭을 확인해 주세요.")


# Execution option of a connection whose transactions write nothing.
ONLY_READS = "malbeot_only_reads"
_LOCKED = "다른 프로그램이 데이터베이스를 붙잡고 있어요. 그 프로그램을 닫고 다시 해 주세요."
_FORBIDDEN = "데이터베이스를 읽고 쓸 권한이 없어요. 파일과 폴더의 권한을 확인해 주세요."
_BROKEN = "데이터베이스 파일이 아니거나 망가졌어요. MALBEOT_DATABASE 경로를 확인하거나 백업에서 되살려 주세요."
_REASONS = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PERM: _FORBIDDEN,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    sqlite3.SQLITE_NOTADB: _BROKEN,
    sqlite3.SQLITE_CORRUPT: _BROKEN,
    sqlite3.SQLITE_FULL: "디스크에 남은 자리가 없어요. 자리를 비우고 다시 해 주세요.",
    sqlite3.SQLITE_IOERR: "디스크를 읽거나 쓰지 못했어요. 디스크의 상태와 남은 자리를 확인해 주세요.",
}


def _check_access(path: Path) -> None:
    try:
        if path.exists() and not path.is_file():
            raise BadDatabase(f"{path}: 파일이 아니에요. MALBEOT_DATABASE에 파일 경로를 적어 주세요.")
        place = next(folder for folder in path.absolute().parents if folder.exists())
        if not place.is_dir():
            raise BadDatabase(f"{path}: {place}은(는) 폴더가 아니에요. MALBEOT_DATABASE 경로를 확인해 주세요.")
        # SQLite keeps its log beside the database, so the folder must be writable too.
        if not _may(place, os.W_OK | os.X_OK) or (path.exists() and not _may(path, os.R_OK | os.W_OK)):
            raise BadDatabase(f"{path}: {_FORBIDDEN}")
        if path.exists() and 0 < path.stat().st_size < _SMALLEST:
            raise BadDatabase(f"{path}: {_BROKEN}")
    except OSError as error:
        raise BadDatabase(f"{path}: {reason(error)}") from error


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _side_files(path: Path) -> tuple[Path, ...]:
    """The files that SQLite keeps beside the database and that are there now."""
    names = (path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal"))
    return tuple(file for file in names if file.exists())


@contextmanager
def _traceless_address(path: Path) -> Iterator[str]:
    """A URI under which SQLite sees the last committed state and writes nothing beside the file.

    Reading is not traceless by itself: mode=ro alone creates the WAL and its index, or rebuilds a stale index.
    """
    path = path.resolve()  # SQLite puts its side files beside what a link leads to
    sizes = {file.name.removeprefix(path.name): file.stat().st_size for file in _side_files(path)}
    if "-wal" in sizes and "-shm" in sizes:
        # readonly_shm (os_unix.c): use the index as it is, or a private one where a crash left it stale.
        yield path.as_uri() + "?mode=ro&readonly_shm=1"
    elif sizes.get("-wal") or sizes.get("-journal"):
        # Left by a crash or a copy, for the next to open it to recover: no process is in it, so a copy is whole.
        with tempfile.TemporaryDirectory() as folder:
            for file in (path, *_side_files(path)):
                shutil.copyfile(file, Path(folder, file.name))
            yield Path(folder, path.name).as_uri() + "?mode=rw"
    else:
        yield path.as_uri() + "?immutable=1"


def _reader(address: str) -> Engine:
    return create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, **_connect_arguments()),
        poolclass=NullPool,
        hide_parameters=True,
    )


def _judge(connection: Connection, path: Path, cipher: Cipher) -> DatabaseState:
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return DatabaseState.NEW
    if not {"alembic_version", meta.name} <= tables:
        raise BadDatabase(f"{path}: 다른 프로그램의 데이터베이스예요. MALBEOT_DATABASE에 다른 경로를 적어 주세요.")
    scripts = ScriptDirectory.from_config(_alembic())
    heads = set(MigrationContext.configure(connection).get_current_heads())
    if not heads <= {script.revision for script in scripts.walk_revisions()}:
        raise BadDatabase(f"{path}: 더 새로운 말벗이 만든 데이터베이스예요. 말벗을 새 판으로 올린 뒤 다시 켜 주세요.")
    if not _key_fits(connection, cipher):
        raise BadDatabase(f"{path}: 열쇠를 확인할 값이 사라졌어요. 백업에서 되살려 주세요.")
    return DatabaseState.CURRENT if heads == set(scripts.get_heads()) else DatabaseState.OLD


def _key_fits(connection: Connection, cipher: Cipher) -> bool:
    """False where no check value is stored. Raises WrongKey."""
    check = connection.scalar(select(meta.c.value).where(meta.c.name == _KEY_CHECK))
    return check is not None and cipher.decrypt(check, _KEY_CHECK_COLUMN) == _KEY_CHECK


def _migrate(path: Path, cipher: Cipher) -> None:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path.resolve())),
        poolclass=NullPool,
        connect_args=_connect_arguments(),
        hide_parameters=True,
    )
    _configure(engine)
    with engine.begin() as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        # Another process may have been first, with another key: then this raises and nothing is written.
        if not _key_fits(connection, cipher):
            check = cipher.encrypt(_KEY_CHECK, _KEY_CHECK_COLUMN)
            connection.execute(insert(meta).values(name=_KEY_CHECK, value=check))


def _alembic() -> Config:
    config = Config()
    # Alembic interpolates "%".
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _connect_arguments() -> dict[str, Any]:
    # sqlite3 opens transactions late and never for DDL; with isolation_level None ours is the only BEGIN.
    return {"timeout": BUSY_SECONDS, "isolation_level": None}


def _configure(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, record: object) -> None:
        cursor = connection.cursor()
        # FULL: a commit survives power loss as well as a crash.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        # A transaction that reads first and then writes would fail where another process wrote in between. One that
        # only reads says so, and reads also while another process holds the lock.
        only_reads = connection.get_execution_options().get(ONLY_READS, False)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")
