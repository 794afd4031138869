"""What people share for training, who must leave it again, and what the database itself refuses."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import StorageFailed
from bot.messages import Answer, ConversationKey, Feedback, IncomingMessage, Judgement
from bot.store.cipher import Cipher
from bot.store.consents import LedgerRow, Purpose, Scope
from bot.store.sharing import ExportedTurn, Grant, SharedExchange, Tombstone, grant_of
from bot.store.store import Exchange, Store
from model.dialogue import Source
from tests.bot.store.helpers import CHAT, NOON, run_sql

GROUP = ConversationKey("telegram", "-100")
MINUTE = timedelta(minutes=1)


class Clock:
    """A minute later at each look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += MINUTE
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(path: Path, cipher: Cipher, clock: Clock) -> AsyncIterator[Store]:
    async with Store.open(path, cipher, now=clock) as opened:
        yield opened


async def agree(store: Store, *people: str) -> None:
    for person in people:
        for purpose in (Purpose.MEMORY, Purpose.TRAINING):
            await store.decide(person, purpose, True, 1)


async def say(store: Store, clock: Clock, said: str, person: str, key: ConversationKey = CHAT) -> int:
    exchange = Exchange(said, f"{said}!", "v1", Source.GENERATOR, clock(), person)
    return (await store.add_exchange(key, exchange)).reply_id


async def shared(store: Store, *without: str) -> list[SharedExchange]:
    found = []
    for person, grant in (await store.grants()).items():
        found += await store.shared(person, grant.since, without)
    return found


def row(purpose: Purpose, granted: bool, minute: int, version: int = 1) -> LedgerRow:
    return LedgerRow(purpose, granted, version, NOON + minute * MINUTE)


M, T, AGE = Purpose.MEMORY, Purpose.TRAINING, Purpose.AGE_14


@pytest.mark.parametrize(
    ("ledger", "since"),
    [
        ([], None),
        ([row(M, True, 1)], None),
        ([row(T, True, 1)], None),
        ([row(M, True, 1), row(T, True, 5)], 5),
        ([row(T, True, 1), row(M, True, 5)], 5),
        ([row(M, True, 1), row(T, True, 5), row(T, True, 9)], 5),
        ([row(M, True, 1), row(T, True, 5), row(T, False, 6)], None),
        ([row(M, True, 1), row(T, True, 5), row(M, False, 6)], None),
        ([row(M, True, 1), row(T, True, 5), row(T, False, 6), row(T, True, 8)], 8),
        ([row(AGE, True, 0), row(M, True, 1), row(T, True, 5)], 5),
        ([row(AGE, False, 0), row(M, True, 1), row(T, True, 5)], None),
        ([row(AGE, False, 0), row(AGE, True, 0), row(M, True, 1), row(T, True, 5)], 5),
    ],
)
def test_what_a_ledger_grants(ledger: list[LedgerRow], since: int | None) -> None:
    assert grant_of(ledger) == (None if since is None else Grant(NOON + since * MINUTE, (1,)))


def test_a_grant_names_the_policies_that_were_agreed_to() -> None:
    assert grant_of([row(M, True, 1), row(T, True, 2, 3), row(T, True, 3, 2)]) == Grant(NOON + 2 * MINUTE, (2, 3))


async def test_only_what_was_said_after_agreeing_is_shared(store: Store, clock: Clock) -> None:
    await say(store, clock, "전에", "p")
    await store.decide("p", Purpose.MEMORY, True, 1)
    await say(store, clock, "기억만", "p")
    await store.decide("p", Purpose.TRAINING, True, 1)
    await say(store, clock, "학습도", "p")
    await say(store, clock, "남의 말", "q")
    assert [each.said for each in await shared(store)] == ["학습도"]
    await store.withdraw("p", [Purpose.TRAINING], 1)
    assert await shared(store) == []
    await store.decide("p", Purpose.TRAINING, True, 1)
    assert await shared(store) == []
    await say(store, clock, "다시", "p")
    assert [each.said for each in await shared(store)] == ["다시"]


async def test_platforms_can_be_left_out(store: Store, clock: Clock) -> None:
    await agree(store, "p")
    await say(store, clock, "텔레", "p")
    await say(store, clock, "디코", "p", ConversationKey("discord", "1"))
    assert [each.said for each in await shared(store, "discord")] == ["텔레"]
    assert {each.platform for each in await shared(store)} == {"telegram", "discord"}


async def test_in_a_group_only_ones_own_exchanges_are_shared(store: Store, clock: Clock) -> None:
    await agree(store, "p")
    for person in ("p", "q", "p"):
        await say(store, clock, f"{person}의 말", person, GROUP)
    assert [(each.said, each.replied) for each in await shared(store)] == [("p의 말", "p의 말!")] * 2


async def test_a_retry_by_somebody_else_changes_neither_author_nor_age(store: Store, clock: Clock) -> None:
    await agree(store, "presser")
    exchange = Exchange("남의 말", "응", "v1", Source.GENERATOR, clock(), "author")
    recorded = await store.add_exchange(GROUP, exchange)
    again = Exchange("남의 말", "다시", "v1", Source.GENERATOR, clock(), "presser")
    await store.replace_exchange(GROUP, recorded.turns, again)
    assert await shared(store) == []
    await agree(store, "author")
    assert await shared(store) == []  # it was said before


async def test_opinions_are_the_speakers_own(store: Store, clock: Clock) -> None:
    me, other = store.person("telegram", "42"), store.person("telegram", "43")
    await agree(store, me, other)
    replies = [await say(store, clock, f"{number}", me) for number in range(4)]
    for user, judgement, reply, text in (
        ("42", Judgement.UP, 0, ""),
        ("42", Judgement.DOWN, 1, ""),
        ("42", Judgement.CORRECTION, 2, "이렇게"),
        ("43", Judgement.DOWN, 3, ""),
    ):
        await store.judge(Feedback(CHAT, user, judgement, replies[reply], correction=text))
    found = await shared(store)
    assert [each.judgement for each in found] == [Judgement.UP, Judgement.DOWN, None, None]
    assert [each.correction for each in found] == [None, None, "이렇게", None]


async def test_a_private_chat_is_told_by_its_id(store: Store, clock: Clock) -> None:
    me = store.person("telegram", "42")
    await agree(store, me)
    for key in (CHAT, GROUP):
        await store.set_persona(key, ("나는 토리다.",))
        await say(store, clock, "안녕", me, key)
    assert [(each.is_private, each.persona) for each in await shared(store)] == [
        (True, ("나는 토리다.",)),
        (False, ("나는 토리다.",)),
    ]


async def test_nothing_is_stored_of_a_childs_opinion(store: Store, clock: Clock) -> None:
    me = store.person("telegram", "42")
    reply = await say(store, clock, "안녕", "somebody")
    await store.decide(me, Purpose.AGE_14, False, 1)
    assert await store.judge(Feedback(CHAT, "42", Judgement.CORRECTION, reply, correction="비밀"))
    assert (await store.everything(me))["feedback"] == []


async def recorded(store: Store, clock: Clock, rows: list[ExportedTurn], name: str = "e1") -> bool:
    return await store.record_export(name, clock(), rows, await store.grants())


async def turn_rows(store: Store, permission: str | None = None) -> list[ExportedTurn]:
    return [ExportedTurn(each.said_id, each.person, each.platform, permission) for each in await shared(store)]


async def test_discord_is_refused_by_the_database_itself(store: Store, clock: Clock, path: Path) -> None:
    await agree(store, "p")
    await say(store, clock, "디코", "p", ConversationKey("discord", "1"))
    with pytest.raises(StorageFailed):
        await recorded(store, clock, await turn_rows(store))
    assert await store.export_names() == set()
    assert await recorded(store, clock, await turn_rows(store, "letter 7"))
    insert = "INSERT INTO exported_turns VALUES ('e1', {}, 'p', '{}', {})"
    for number, (platform, permission) in enumerate([("discord", "NULL"), ("console", "NULL"), ("console", "'x'")]):
        with pytest.raises(sqlite3.IntegrityError, match=f"ck_exported_turns_{platform}"):
            run_sql(path, insert.format(100 + number, platform, permission))
    run_sql(path, insert.format(200, "telegram", "NULL"))


async def test_an_export_is_noted_only_while_all_of_it_is_shared(store: Store, clock: Clock) -> None:
    await agree(store, "p", "q")
    await say(store, clock, "안녕", "p")
    await say(store, clock, "반가워", "q")
    rows, grants = await turn_rows(store), await store.grants()
    await store.withdraw("q", [Purpose.TRAINING], 1)
    assert not await store.record_export("e1", clock(), rows, grants)
    await store.decide("q", Purpose.TRAINING, True, 1)
    assert not await store.record_export("e1", clock(), rows, grants)
    assert await recorded(store, clock, rows)
    await store.clear_history(CHAT)
    assert not await recorded(store, clock, rows, "e2")


async def test_tombstones_name_the_exports_from_before_them(store: Store, clock: Clock) -> None:
    await agree(store, "p")
    await say(store, clock, "안녕", "p")
    assert await recorded(store, clock, await turn_rows(store))
    await store.withdraw("p", [Purpose.MEMORY, Purpose.TRAINING], 1)
    await agree(store, "p")
    await say(store, clock, "또", "p")
    assert await recorded(store, clock, await turn_rows(store), "e2")
    stones = await store.tombstones()
    assert [stone.scope for stone in stones] == [Scope.MEMORY, Scope.TRAINING]
    assert [await store.exports_of(stone) for stone in stones] == [{"e1"}, {"e1"}]
    assert await store.waiting_tombstones() == 2
    await store.applied(stones)
    assert await store.waiting_tombstones() == 0
    assert await store.exports_of(stones[0]) == set()
    assert await store.exports_of(Tombstone("p", Scope.FORGET, clock())) == {"e2"}
    await store.drop_tombstones(clock())
    assert await store.tombstones() == []


async def test_who_never_agreed_needs_no_tombstone_to_say_no(store: Store) -> None:
    await store.withdraw("p", [Purpose.MEMORY, Purpose.TRAINING], 1)
    assert await store.tombstones() == []
    assert await store.decisions("p") == {Purpose.MEMORY: False, Purpose.TRAINING: False}


def message(text: str, event: str, user: str = "42") -> IncomingMessage:
    return IncomingMessage(CHAT, event, user, "아무개", text, NOON, event_id=event)


async def test_forget_is_one_transaction_over_everything(store: Store, clock: Clock, path: Path) -> None:
    me = store.person("telegram", "42")
    await agree(store, me)
    reply = await say(store, clock, "비밀", me, GROUP)
    await say(store, clock, "둘만의 비밀", me)
    await say(store, clock, "남의 말", "q", GROUP)
    await store.judge(Feedback(GROUP, "42", Judgement.CORRECTION, reply, correction="이렇게"))
    ids = [await store.accept(message("기다리는 말", "e1")), await store.accept(message("/forget 예", "e2"))]
    other = await store.accept(message("남의 말", "e3", "43"))
    run_sql(path, "CREATE TRIGGER no BEFORE INSERT ON tombstones BEGIN SELECT RAISE(ABORT, 'no'); END")
    before = await store.everything(me)
    with pytest.raises(StorageFailed):
        await store.forget(me, 1, CHAT, "e2")
    assert await store.everything(me) == before
    assert await store.entry(ids[0] or 0) is not None
    run_sql(path, "DROP TRIGGER no")

    await store.forget(me, 1, CHAT, "e2")
    after = await store.everything(me)
    assert (after["turns"], after["feedback"]) == ([], [])
    assert await store.decisions(me) == {Purpose.MEMORY: False, Purpose.TRAINING: False}
    assert (await store.history(CHAT, 9)).total == 0
    assert [turn.text for turn in (await store.history(GROUP, 9)).turns] == ["남의 말", "남의 말!"]
    assert [await store.entry(entry or 0) is not None for entry in (*ids, other)] == [False, True, True]
    assert [stone.scope for stone in await store.tombstones()] == [Scope.FORGET]
    # The command itself still gets its answer.
    await store.keep_answer(ids[1] or 0, Answer("모두 지웠어요"))


async def test_a_database_from_a_backup_forgets_again(store: Store, clock: Clock) -> None:
    await agree(store, "p", "q")
    await say(store, clock, "비밀", "p")
    await say(store, clock, "남의 말", "q")
    stone = Tombstone("p", Scope.FORGET, clock())
    assert await store.bury_again([stone]) == 1
    assert await store.bury_again([stone]) == 0
    assert [each.said for each in await shared(store)] == ["남의 말"]
    assert (await store.everything("p"))["turns"] == []
    # What was agreed to and said since the tombstone stays.
    await agree(store, "p")
    await say(store, clock, "새 말", "p")
    await store.bury_again([Tombstone("p", Scope.MEMORY, stone.created_at)])
    assert [each.said for each in await shared(store)] == ["새 말", "남의 말"]
