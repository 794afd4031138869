"""What the tests of exports share: a clock, a store with people who talk, and a look at what an export holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.messages import ConversationKey, Feedback, Judgement
from bot.store.cipher import Cipher
from bot.store.consents import Purpose
from bot.store.database import connect
from bot.store.sharing import SharedExchange
from bot.store.store import Exchange, Store
from model.dialogue import Source

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CIPHER = Cipher(bytes(32))
# Talk that no rule has anything against.
LINES = (
    ("오늘 하늘이 참 맑아요", "정말 산책하기 좋은 날씨네요."),
    ("점심에 김밥을 먹었어요", "김밥은 언제 먹어도 맛있죠."),
    ("요즘 기타를 배워요", "어떤 곡을 연습하고 있어요?"),
    ("주말에 책을 읽으려고요", "조용히 책 읽는 주말도 좋네요."),
    ("고양이가 무릎에서 자요", "따뜻해서 꼼짝도 못 하겠어요."),
)


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **length: float) -> None:
        """Let time go by."""
        self.now += timedelta(**length)


@dataclass
class World:
    """A store and its clock."""

    store: Store
    clock: Clock
    folder: Path
    replies: list[int] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """Where exports go."""
        return self.folder / "exports"

    @property
    def models(self) -> Path:
        """Where models are."""
        return self.folder / "models"

    def person(self, user: str, platform: str = "telegram") -> str:
        """The pseudonym of a user."""
        return self.store.person(platform, user)

    async def agree(self, *users: str, platform: str = "telegram") -> None:
        """Both consents."""
        for user in users:
            for purpose in (Purpose.MEMORY, Purpose.TRAINING):
                await self.store.decide(self.person(user, platform), purpose, True, 1)
        self.clock.pass_(seconds=1)

    async def say(
        self,
        said: str,
        replied: str,
        user: str = "1",
        *,
        platform: str = "telegram",
        chat: str | None = None,
        source: Source = Source.GENERATOR,
    ) -> int:
        """One exchange that is kept; returns the reply's id."""
        self.clock.pass_(seconds=30)
        exchange = Exchange(said, replied, "v1", source, self.clock(), self.person(user, platform))
        key = ConversationKey(platform, chat or user)
        return (await self.store.add_exchange(key, exchange)).reply_id

    async def talk(self, user: str = "1", *, platform: str = "telegram", mark: str = "") -> None:
        """A short conversation; each line ends with `mark`."""
        for said, replied in LINES:
            await self.say(f"{said}{mark}", f"{replied}{mark}", user, platform=platform)

    async def judge(self, reply: int, judgement: Judgement, user: str = "1", correction: str = "") -> None:
        """An opinion of a user in their private chat."""
        key = ConversationKey("telegram", user)
        assert await self.store.judge(Feedback(key, user, judgement, reply, correction=correction))


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A new store below `folder`."""
    clock = Clock()
    async with Store.open(folder / "db" / "malbeot.db", CIPHER, now=clock) as store:
        yield World(store, clock, folder)


@asynccontextmanager
async def ready_store(folder: Path, now: Callable[[], datetime]) -> AsyncIterator[Store]:
    """The store of a world that there was; not looked through first, which takes longer than what tests do with it."""
    engine = connect(folder / "db" / "malbeot.db")
    try:
        yield Store(engine, CIPHER, now)
    finally:
        await engine.dispose()


def records(folder: Path, name: str = "*") -> list[dict[str, Any]]:
    """The records of an export's files."""
    paths = sorted(folder.glob(f"{name}.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def everything(folder: Path) -> str:
    """All text of all files below a folder."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file())


def manifest(folder: Path) -> dict[str, Any]:
    """An export's manifest."""
    loaded: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return loaded


def shared(number: int, said: str, replied: str = "그렇군요.", person: str = "p1", **more: Any) -> SharedExchange:
    """A shared exchange, `number` minutes after noon."""
    fields: dict[str, Any] = {
        "conversation_id": 1,
        "platform": "telegram",
        "person": person,
        "said_id": 2 * number + 1,
        "replied_id": 2 * number + 2,
        "said": said,
        "replied": replied,
        "at": NOON + timedelta(minutes=number),
        "source": Source.GENERATOR,
        "is_private": True,
    }
    return SharedExchange(**fields | more)
