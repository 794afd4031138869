"""Several processes, and processes that are killed: what was acknowledged is there, and turns come in pairs."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.messages import ConversationKey
from bot.store.cipher import Cipher
from bot.store.database import DatabaseState, check_database
from bot.store.store import Store
from tests.bot.store.conftest import Snapshot

# Writes exchanges of CHATS conversations at once, and names each when it is stored.
WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from bot.messages import ConversationKey
from bot.store.cipher import Cipher
from bot.store.store import Exchange, Store
from model.dialogue import Source

async def talk(store, name, chat, count):
    for number in range(count):
        at = datetime.now(UTC)
        text = f"{name} {chat} {number}"
        await store.add_exchange(ConversationKey("telegram", chat), Exchange(text, text, "v1", Source.GENERATOR, at))
        print(text, flush=True)

async def main(path, key, name, chats, count):
    async with Store.open(Path(path), Cipher(bytes.fromhex(key))) as store:
        await asyncio.gather(*(talk(store, name, str(chat), int(count)) for chat in range(int(chats))))

asyncio.run(main(*sys.argv[1:]))
"""
# Makes one database after the other, and names each when it is made.
MAKER = """
import asyncio, itertools, sys
from pathlib import Path
from bot.store.cipher import Cipher
from bot.store.store import Exchange, Store

async def main(folder, key):
    for number in itertools.count():
        async with Store.open(Path(folder, f"{number}.db"), Cipher(bytes.fromhex(key))):
            print(number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
CHATS = 4


@contextmanager
def python(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """All that the process acknowledged, being killed somewhere after `lines` lines."""
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    seen += process.stdout.readlines()
    assert process.wait() == -9
    return [line.strip() for line in seen if line.endswith("\n")]


async def pairs(path: Path, cipher: Cipher, chat: str) -> list[str]:
    """The texts of a conversation's exchanges, whose two turns must be the same and side by side."""
    async with Store.open(path, cipher) as store:
        history = await store.history(ConversationKey("telegram", chat), 100_000)
    said = [turn.text for turn in history.turns]
    assert history.total == len(said)
    assert said[::2] == said[1::2]
    return said[::2]


@pytest.fixture
def key() -> str:
    """The key of the fixture `cipher`, as the scripts take it."""
    return bytes(range(32)).hex()


@pytest.mark.slow
async def test_killed_while_writing(path: Path, key: str, cipher: Cipher, snapshot: Callable[[], Snapshot]) -> None:
    acknowledged: list[str] = []
    for kill, lines in enumerate((20, 61, 137)):
        with python(WRITER, path, key, f"run{kill}", CHATS, 100_000) as process:
            acknowledged += kill_after(process, lines)
        before = snapshot()
        assert check_database(path, cipher) is DatabaseState.CURRENT
        assert snapshot() == before
    for chat in map(str, range(CHATS)):
        stored = await pairs(path, cipher, chat)
        kept = [text for text in acknowledged if text.split()[1] == chat]
        assert [text for text in stored if text in set(kept)] == kept
        # At most one exchange a kill was stored without being acknowledged.
        assert len(stored) - len(kept) <= 3


@pytest.mark.slow
async def test_killed_while_creating(tmp_path: Path, key: str, cipher: Cipher) -> None:
    for kill, lines in enumerate((1, 3, 4)):
        folder = tmp_path / str(kill)
        with python(MAKER, folder, key) as process:
            made = kill_after(process, lines)
        for database in folder.glob("*.db"):
            state = check_database(database, cipher)
            assert state is DatabaseState.CURRENT or database.stem not in made
            assert await pairs(database, cipher, "1") == []


@pytest.mark.slow
async def test_two_processes_in_one_conversation(path: Path, key: str, cipher: Cipher) -> None:
    count = 60
    with python(WRITER, path, key, "first", 1, count) as first, python(WRITER, path, key, "second", 1, count) as second:
        outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
        assert [process.returncode for process in (first, second)] == [0, 0]
    stored = await pairs(path, cipher, "0")
    assert len(stored) == 2 * count
    for name, output in zip(("first", "second"), outputs, strict=True):
        own = [f"{name} 0 {number}" for number in range(count)]
        assert output.split("\n")[:-1] == own
        assert [text for text in stored if text.startswith(name)] == own
