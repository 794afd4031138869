"""Creating a database and bringing it up to date: wholly or not at all, also by two at once."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from bot.errors import BadDatabase, WrongKey
from bot.store import database
from bot.store.cipher import Cipher
from bot.store.database import MIGRATIONS, DatabaseState, check_database
from bot.store.store import Store
from bot.store.tables import metadata
from tests.bot.store.conftest import Snapshot
from tests.bot.store.helpers import WRONG, make, refused, total


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


CREATE = 'op.create_table("extra", sa.Column("id", sa.Integer()))'
FAIL = 'op.execute("INSERT INTO missing VALUES (1)")'


@pytest.fixture
def next_revision(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that this program has one more migration, of the statements given."""

    def pretend(*body: str) -> None:
        folder = tmp_path_factory.mktemp("next") / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        head = ("import sqlalchemy as sa", "from alembic import op", "revision = 'next'", "down_revision = '0004'")
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
