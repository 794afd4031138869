"""What the tests of storage share."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.errors import BotError
from bot.messages import ConversationKey
from bot.store.cipher import KEY_BYTES, Cipher
from bot.store.database import check_database
from bot.store.store import Exchange, History, Store
from model.dialogue import Source

CHAT = ConversationKey("telegram", "42")
NOON = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
WRONG = Cipher(bytes(KEY_BYTES))


async def make(path: Path, cipher: Cipher, exchanges: int = 1) -> None:
    async with Store.open(path, cipher) as store:
        for _ in range(exchanges):
            await store.add_exchange(CHAT, Exchange("안녕", "반가워요", "v1", Source.GENERATOR, NOON))


async def total(path: Path, cipher: Cipher) -> int:
    async with Store.open(path, cipher) as store:
        return (await store.history(CHAT, 1)).total


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def refused(path: Path, cipher: Cipher, error: type[BotError], words: str) -> None:
    """Both doors refuse, with the same sentence."""
    with pytest.raises(error, match=words) as checked:
        check_database(path, cipher)
    with pytest.raises(error, match=words) as opened:
        async with Store.open(path, cipher):
            pass
    assert str(checked.value) == str(opened.value)


async def say(store: Store, *numbers: int, key: ConversationKey = CHAT) -> None:
    for number in numbers:
        await store.add_exchange(key, Exchange(f"{number}?", f"{number}!", "v1", Source.GENERATOR, NOON))


def texts(history: History) -> list[str]:
    return [turn.text for turn in history.turns]
