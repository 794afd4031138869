"""Opening: what is refused is refused with a sentence and without a trace; what is made is made whole."""
# ruff: noqa: ASYNC240 - nothing else runs beside a test that a slow disk could hold up.

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.errors import BadDatabase, WrongKey
from bot.store import database
from bot.store.cipher import Cipher
from bot.store.database import DatabaseState, check_database
from bot.store.store import Exchange, Store
from model.dialogue import Source
from tests.bot.store.conftest import Snapshot
from tests.bot.store.helpers import CHAT, NOON, WRONG, make, refused, run_sql, total


async def crash_image(path: Path, cipher: Cipher, folder: Path) -> Path:
    """The database as a killed process leaves it: its exchange is in the log only."""
    folder.mkdir()
    await make(path, cipher)
    async with Store.open(path, cipher) as store:
        await store.add_exchange(CHAT, Exchange("또", "왔네요", "v1", Source.GENERATOR, NOON))
        for ending in ("", "-wal", "-shm"):
            shutil.copyfile(str(path) + ending, folder / (path.name + ending))
    return folder / path.name


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


async def test_backup_serves_again(path: Path, tmp_path: Path, cipher: Cipher) -> None:
    """VACUUM INTO writes a file that is not in WAL mode."""
    await make(path, cipher)
    backup = tmp_path / "restored" / path.name
    backup.parent.mkdir()
    run_sql(path, f"VACUUM INTO '{backup}'")
    assert check_database(backup, cipher) is DatabaseState.CURRENT
    assert await total(backup, cipher) == 2


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
    image = await crash_image(path, cipher, tmp_path / "crashed")
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
        await store.add_exchange(CHAT, Exchange("안녕", "반가워요", "v1", Source.GENERATOR, NOON))
        before = snapshot()
        assert check_database(path, cipher) is DatabaseState.CURRENT
        with pytest.raises(WrongKey):
            check_database(path, WRONG)
        # A reader among others says in the shared memory how far it reads; that is no content.
        assert {k: v for k, v in snapshot().items() if not k.endswith("-shm")} == {
            k: v for k, v in before.items() if not k.endswith("-shm")
        }
        await store.add_exchange(CHAT, Exchange("아직", "열려 있어요", "v1", Source.GENERATOR, NOON))
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
