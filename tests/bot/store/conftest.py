from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.store.cipher import KEY_BYTES, Cipher
from bot.store.store import Store
from model.files import sha256
from tests.bot.store.helpers import NOON

Snapshot = dict[str, tuple[int, int, str]]


@pytest.fixture
def cipher() -> Cipher:
    return Cipher(bytes(range(KEY_BYTES)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "malbeot.db"


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[[], Snapshot]:
    """Everything below the test's folder: names, modes, times of change, contents."""

    def take() -> Snapshot:
        return {
            str(path): (path.stat().st_mode, path.stat().st_mtime_ns, sha256([path]) if path.is_file() else "")
            for path in [tmp_path, *tmp_path.rglob("*")]
        }

    return take


@pytest.fixture
async def store(path: Path, cipher: Cipher) -> AsyncIterator[Store]:
    async with Store.open(path, cipher, now=lambda: NOON) as opened:
        yield opened
