"""Opening: what is refused is refused with a sentence and without a trace; what is made is made whole."""
# ruff: noqa: ASYNC240 - nothing else runs beside a test that a slow disk could hold up.

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from bot.errors import BadDatabase, BotError, WrongKey
from bot.messages import ConversationKey
from bot.store import database
from bot.store.cipher import KEY_BYTES, Cipher
from bot.store.database import MIGRATIONS, DatabaseState, check_database
from bot.store.store import Store
from bot.store.tables import metadata
from model.dialogue import Source
from tests.bot.store.conftest import Snapshot

CHAT = ConversationKey("telegram", "1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRONG = Cipher(bytes(KEY_BYTES))


async def make(path: Path, cipher: Cipher, exchanges: int = 1) -> None:
    async with Store.open(path, cipher) as store:
        for _ in range(exchanges):
            await store.add_exchange(CHAT, "안녕", "반가워요", "v1", Source.GENERATOR, NOON)


async def total(path: Path, cipher: Cipher) -> int:
    async with Store.open(path, cipher) as store:
        return (await store.history(CHAT, 1)).total


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def crash_image(path: Path, cipher: Cipher, folder: Path, endings: tuple[str, ...]) -> Path:
    """The database as a killed process leaves it: its exchange is in the log only."""
    folder.mkdir()
    await make(path, cipher)
    async with Store.open(path, cipher) as store:
        await store.add_exchange(CHAT, "또", "왔네요", "v1", Source.GENERATOR, NOON)
        for ending in endings:
            shutil.copyfile(str(path) + ending, folder / (path.name + ending))
    return folder / path.name


async def refused(path: Path, cipher: Cipher, error: type[BotError], words: str) -> None:
    """Both doors refuse, with the same sentence."""
    with pytest.raises(error, match=words) as checked:
        check_database(path, cipher)
    with pytest.raises(error, match=words) as opened:
        async with Store.open(path, cipher):
            pass
    assert str(checked.value) == str(opened.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)


async def test_new_then_current(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    before = snapshot()
    assert check_database(path, cipher) is DatabaseState.NEW
    assert snapshot() == before
    await make(path, cipher)
    assert [file.name for file in path.parent.iterdir()] == ["malbeot.db"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    before = snapshot()
    assert check_database(path, cipher) is DatabaseState.CURRENT
    assert snapshot() == before
    assert await total(path, cipher) == 2


async def test_empty_file_is_a_new_database(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    path.parent.mkdir()
    path.touch()
    before = snapshot()
    assert check_database(path, cipher) is DatabaseState.NEW
    assert snapshot() == before
    await make(path, cipher)
    assert check_database(path, cipher) is DatabaseState.CURRENT


async def test_path_with_odd_characters(tmp_path: Path, cipher: Cipher) -> None:
    path = tmp_path / "말 벗%20?mode=ro#1" / "a&b%(here)s.db"
    await make(path, cipher)
    assert check_database(path, cipher) is DatabaseState.CURRENT
    assert await total(path, cipher) == 2


async def test_link_to_a_database(path: Path, tmp_path: Path, cipher: Cipher) -> None:
    await make(path, cipher)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    async with Store.open(link, cipher) as store:
        assert check_database(link, cipher) is DatabaseState.CURRENT
        assert (await store.history(CHAT, 1)).total == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "link.db"]


async def test_connection_is_set_up(path: Path, cipher: Cipher) -> None:
    async with Store.open(path, cipher) as store, store._engine.connect() as connection:
        found = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        ]
    assert found == ["wal", 2, 5000, 1]


async def test_migrations_make_the_tables(path: Path, cipher: Cipher) -> None:
    await make(path, cipher)
    with create_engine(f"sqlite:///{path}").connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
            metadata,
        )
        tables = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name IN ('conversations', 'turns')")
        assert all("AUTOINCREMENT" in sql for sql in tables.scalars())
        connection.engine.dispose()
    assert differences == []


@pytest.mark.parametrize("size", [1, 50, 511, 512, 4096, 10_000])
async def test_not_a_database(size: int, path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"x" * size)
    before = snapshot()
    await refused(path, cipher, BadDatabase, "데이터베이스 파일이 아니거나")
    assert snapshot() == before


async def test_folder_in_the_files_place(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    path.mkdir(parents=True)
    before = snapshot()
    await refused(path, cipher, BadDatabase, "파일이 아니에요")
    await refused(path.parent, cipher, BadDatabase, "파일이 아니에요")
    assert snapshot() == before


async def test_file_in_the_folders_place(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    path.parent.write_text("나는 파일이에요", encoding="utf-8")
    before = snapshot()
    await refused(path, cipher, BadDatabase, "폴더가 아니에요")
    await refused(path.parent / "deeper" / path.name, cipher, BadDatabase, "폴더가 아니에요")
    assert snapshot() == before


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_database_of_another_program(
    journal: str, path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]
) -> None:
    path.parent.mkdir()
    run_sql(path, f"PRAGMA journal_mode={journal}", "CREATE TABLE meta (name, value)")
    before = snapshot()
    await refused(path, cipher, BadDatabase, "다른 프로그램의 데이터베이스")
    assert snapshot() == before


async def test_database_of_a_newer_version(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    await make(path, cipher)
    run_sql(path, "UPDATE alembic_version SET version_num = '9999'")
    before = snapshot()
    await refused(path, cipher, BadDatabase, "더 새로운 말벗")
    assert snapshot() == before


async def test_lost_check_value(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    await make(path, cipher)
    run_sql(path, "DELETE FROM meta")
    before = snapshot()
    await refused(path, cipher, BadDatabase, "백업")
    assert snapshot() == before


async def test_wrong_key(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    await make(path, cipher)
    before = snapshot()
    await refused(path, WRONG, WrongKey, "열쇠")
    assert snapshot() == before
    assert await total(path, cipher) == 2


# With the index of the log as a kill leaves it, empty, or lost in copying.
@pytest.mark.parametrize("index", ["stale", "empty", "lost"])
async def test_looking_after_a_crash(
    index: str, path: Path, tmp_path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]
) -> None:
    image = await crash_image(path, cipher, tmp_path / "crashed", ("", "-wal", "-shm"))
    shm = Path(f"{image}-shm")
    if index == "empty":
        shm.write_bytes(b"")
    if index == "lost":
        shm.unlink()
    before = snapshot()
    await refused(image, WRONG, WrongKey, "열쇠")
    assert check_database(image, cipher) is DatabaseState.CURRENT
    assert snapshot() == before
    assert await total(image, cipher) == 4


async def test_looking_sees_what_only_the_log_holds(path: Path, tmp_path: Path, cipher: Cipher) -> None:
    """The newer revision is written to the log alone, as a crash right after an upgrade would leave it."""
    image = tmp_path / "crashed" / path.name
    image.parent.mkdir()
    await make(path, cipher)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for ending in ("", "-wal", "-shm"):
            shutil.copyfile(str(path) + ending, str(image) + ending)
    await refused(image, cipher, BadDatabase, "더 새로운 말벗")


async def test_crash_within_a_creation(
    path: Path, tmp_path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]
) -> None:
    """Pages of an unfinished transaction are in the file, and the journal that takes them back is beside it."""
    path.parent.mkdir()
    image = tmp_path / "crashed" / path.name
    image.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE half (text)")
        connection.executemany("INSERT INTO half VALUES (?)", [("x" * 3000,)] * 50)
        for ending in ("", "-journal"):
            shutil.copyfile(str(path) + ending, str(image) + ending)
    assert image.stat().st_size > 4096
    before = snapshot()
    assert check_database(image, cipher) is DatabaseState.NEW
    assert snapshot() == before
    await make(image, cipher)
    assert await total(image, cipher) == 2


async def test_looking_at_an_open_store(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    async with Store.open(path, cipher) as store:
        await store.add_exchange(CHAT, "안녕", "반가워요", "v1", Source.GENERATOR, NOON)
        before = snapshot()
        assert check_database(path, cipher) is DatabaseState.CURRENT
        with pytest.raises(WrongKey):
            check_database(path, WRONG)
        # A reader among others says in the shared memory how far it reads; that is no content.
        assert {k: v for k, v in snapshot().items() if not k.endswith("-shm")} == {
            k: v for k, v in before.items() if not k.endswith("-shm")
        }
        await store.add_exchange(CHAT, "아직", "열려 있어요", "v1", Source.GENERATOR, NOON)
    assert await total(path, cipher) == 4


@pytest.mark.usefixtures("impatient")
async def test_locked_database(path: Path, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    await make(path, cipher)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for statement in ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN IMMEDIATE", "DELETE FROM turns"):
            other.execute(statement)
        before = snapshot()
        with pytest.raises(BadDatabase, match="붙잡고"):
            async with Store.open(path, cipher):
                pass
        assert snapshot() == before
    assert await total(path, cipher) == 2


@pytest.mark.usefixtures("impatient")
async def test_locked_empty_database(path: Path, cipher: Cipher) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BadDatabase, match="붙잡고"):
            async with Store.open(path, cipher):
                pass
        assert path.read_bytes() == b""
    assert await total(path, cipher) == 0


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Permissions do not bind root: be nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o777, 0o444), (0o777, 0o000), (0o555, 0o666), (0o000, 0o666)])
async def test_no_permission(folder_mode: int, file_mode: int, path: Path, cipher: Cipher) -> None:
    await make(path, cipher)
    # The test's own folder is closed to other users.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        copy = Path(place) / "data" / path.name
        shutil.copytree(path.parent, copy.parent)
        copy.chmod(file_mode)
        copy.parent.chmod(folder_mode)
        with ordinary_user():
            await refused(copy, cipher, BadDatabase, "권한")
            if folder_mode != 0o777:
                await refused(copy.parent / "new" / path.name, cipher, BadDatabase, "권한")
        copy.parent.chmod(0o700)
        assert copy.read_bytes() == path.read_bytes()
        assert [file.name for file in copy.parent.iterdir()] == [path.name]


CREATE = 'op.create_table("extra", sa.Column("id", sa.Integer()))'
FAIL = 'op.execute("INSERT INTO missing VALUES (1)")'


@pytest.fixture
def next_revision(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that this program has one more migration, of the statements given."""

    def pretend(*body: str) -> None:
        folder = tmp_path_factory.mktemp("next") / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        head = ("import sqlalchemy as sa", "from alembic import op", "revision = 'next'", "down_revision = '0001'")
        lines = (*head, "def upgrade():", *(f"    {line}" for line in body))
        (folder / "versions/r9999_next.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
        monkeypatch.setattr(database, "MIGRATIONS", folder)

    return pretend


async def test_older_database_is_brought_up_to_date(
    path: Path, cipher: Cipher, next_revision: Callable[..., None], snapshot: Callable[[], Snapshot]
) -> None:
    await make(path, cipher)
    next_revision(CREATE)
    before = snapshot()
    await refused(path, WRONG, WrongKey, "열쇠")
    assert check_database(path, cipher) is DatabaseState.OLD
    assert snapshot() == before
    assert await total(path, cipher) == 2
    assert check_database(path, cipher) is DatabaseState.CURRENT


@pytest.mark.parametrize("existing", [False, True])
async def test_failed_migration_leaves_nothing_half_done(
    existing: bool,
    path: Path,
    cipher: Cipher,
    next_revision: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if existing:
        await make(path, cipher)
    next_revision(CREATE, FAIL)
    with pytest.raises(BadDatabase):
        async with Store.open(path, cipher):
            pass
    monkeypatch.undo()
    assert check_database(path, cipher) is (DatabaseState.CURRENT if existing else DatabaseState.NEW)
    assert await total(path, cipher) == (2 if existing else 0)


async def test_created_twice_at_once(tmp_path: Path, cipher: Cipher) -> None:
    for round_number in range(10):
        path = tmp_path / str(round_number) / "malbeot.db"
        await asyncio.gather(*(make(path, cipher) for _ in range(2)))
        assert await total(path, cipher) == 4


async def test_created_at_once_with_two_keys(tmp_path: Path, cipher: Cipher) -> None:
    for round_number in range(5):
        path = tmp_path / str(round_number) / "malbeot.db"
        results = await asyncio.gather(make(path, cipher), make(path, WRONG), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["NoneType", "WrongKey"]
