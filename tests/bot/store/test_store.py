"""What is kept: pairs of turns in order, readable only with the key, at a cost that does not grow."""
# ruff: noqa: ASYNC240 - nothing else runs beside a test that a slow disk could hold up.

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement

from bot.errors import WrongKey
from bot.messages import Answer, ConversationKey, Feedback, IncomingMessage, Judgement
from bot.store.cipher import Cipher
from bot.store.consents import Purpose, Scope
from bot.store.entries import State
from bot.store.sharing import ExportedTurn
from bot.store.store import Exchange, History, Store, StoredConversation
from model.dialogue import Role, Source, SpeechLevel
from tests.bot.store.helpers import CHAT, NOON, say, texts


async def test_an_unknown_conversation_has_the_defaults(store: Store) -> None:
    assert await store.conversation(CHAT) == StoredConversation(None, None, False)


async def test_conversations_are_told_apart_by_platform_chat_and_thread(store: Store) -> None:
    keys = [
        CHAT,
        ConversationKey("discord", "42"),
        ConversationKey("telegram", "42", "7"),
        ConversationKey("telegram", "4"),
    ]
    for number, key in enumerate(keys):
        await store.set_persona(key, (f"나는 {number}번이다.",))
    found = [await store.conversation(key) for key in keys]
    assert [conversation.persona for conversation in found] == [(f"나는 {number}번이다.",) for number in range(4)]


async def test_a_conversation_is_made_once_at_once(path: Path, cipher: Cipher, store: Store) -> None:
    async with Store.open(path, cipher) as other:
        await asyncio.gather(*(place.set_check_in(CHAT, True) for place in [store, other] * 20))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM conversations").fetchone() == (1,)


async def test_own_settings_stay(path: Path, cipher: Cipher, store: Store) -> None:
    await store.set_persona(CHAT, ("나는 고양이다.",))
    await store.set_speech_level(CHAT, SpeechLevel.BANMAL)
    await say(store, 1)
    async with Store.open(path, cipher) as other:
        found = await other.conversation(CHAT)
    assert (found.persona, found.speech_level) == (("나는 고양이다.",), SpeechLevel.BANMAL)
    await store.set_persona(CHAT, None)
    assert (await store.conversation(CHAT)).persona is None
    assert (await store.conversation(CHAT)).speech_level is SpeechLevel.BANMAL
    await store.set_speech_level(CHAT, None)
    assert (await store.conversation(CHAT)).speech_level is None
    assert (await store.history(CHAT, 9)).total == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(st.text(st.characters(categories=None)), max_size=5).map(tuple))
async def test_persona_round_trip(store: Store, facts: tuple[str, ...]) -> None:
    await store.set_persona(CHAT, facts)
    assert (await store.conversation(CHAT)).persona == facts


async def test_history_of_nobody(path: Path, store: Store) -> None:
    assert await store.history(CHAT, 5) == History((), 0)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM conversations").fetchone() == (0,)


async def test_history_is_the_newest_in_order(store: Store) -> None:
    await say(store, 1, 2, 3)
    await say(store, 9, key=ConversationKey("telegram", "43"))
    history = await store.history(CHAT, 3)
    assert texts(history) == ["2!", "3?", "3!"]
    assert [turn.role for turn in history.turns] == [Role.BOT, Role.USER, Role.BOT]
    assert history.total == 6
    assert texts(await store.history(CHAT, 100)) == ["1?", "1!", "2?", "2!", "3?", "3!"]
    assert await store.history(CHAT, 0) == History((), 6)
    with pytest.raises(ValueError, match="limit"):
        await store.history(CHAT, -1)


async def test_times_are_kept_in_utc(store: Store) -> None:
    in_seoul = NOON.astimezone(timezone(timedelta(hours=9)))
    await store.add_exchange(CHAT, Exchange("지금 몇 시야?", "점심이야!", "v1", Source.GENERATOR, in_seoul))
    for turn in (await store.history(CHAT, 2)).turns:
        assert turn.created_at == NOON
        assert turn.created_at.utcoffset() == timedelta(0)
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="timezone"):
        await store.add_exchange(CHAT, Exchange("a", "b", "v1", Source.GENERATOR, naive))


async def test_where_a_reply_came_from_is_kept(path: Path, store: Store) -> None:
    await say(store, 1)
    await store.add_exchange(CHAT, Exchange("?", "!", "v2", Source.RETRIEVER, NOON))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT role, model_version, source FROM turns ORDER BY id").fetchall()
    user = ("user", None, None)
    assert rows == [user, ("bot", "v1", "generator"), user, ("bot", "v2", "retriever")]


async def test_replace_exchange(path: Path, store: Store) -> None:
    await say(store, 1)
    recorded = await store.add_exchange(CHAT, Exchange("2?", "2!", "v1", Source.GENERATOR, NOON))
    await say(store, 9, key=ConversationKey("telegram", "43"))
    before = await store.history(CHAT, 9)
    later = NOON + timedelta(seconds=5)
    again = Exchange("둘?", "다시!", "v2", Source.RETRIEVER, later)
    replaced = await store.replace_exchange(CHAT, recorded.turns, again)
    assert replaced.turns == recorded.turns
    assert replaced.reply_id != recorded.reply_id
    after = await store.history(CHAT, 9)
    assert texts(after) == ["1?", "1!", "둘?", "다시!"]
    assert after.total == 4
    assert after.turns[:2] == before.turns[:2]
    assert (after.turns[3].id, after.turns[3].created_at) == (before.turns[3].id, later)
    assert after.turns[3].reply_id == replaced.reply_id
    with closing(sqlite3.connect(path)) as connection:
        last = connection.execute("SELECT model_version, source FROM turns WHERE id = ?", (after.turns[3].id,))
        assert last.fetchone() == ("v2", "retriever")
        assert connection.execute("SELECT model_version FROM replies ORDER BY id").fetchall()[-1] == ("v2",)


async def test_deleted_turns_are_not_replaced(store: Store) -> None:
    recorded = await store.add_exchange(CHAT, Exchange("1?", "1!", "v1", Source.GENERATOR, NOON))
    await store.clear_history(CHAT)
    again = Exchange("1?", "다시!", "v1", Source.GENERATOR, NOON)
    assert (await store.replace_exchange(CHAT, recorded.turns, again)).turns is None
    assert await store.history(CHAT, 9) == History((), 0)


async def test_another_conversations_turns_are_never_replaced(store: Store) -> None:
    recorded = await store.add_exchange(CHAT, Exchange("1?", "1!", "v1", Source.GENERATOR, NOON))
    again = Exchange("너", "나", "v1", Source.GENERATOR, NOON)
    other = ConversationKey("telegram", "43")
    assert (await store.replace_exchange(other, recorded.turns, again)).turns is None
    assert texts(await store.history(CHAT, 9)) == ["1?", "1!"]


async def test_an_exchange_that_is_not_to_be_kept_leaves_its_reply_alone(path: Path, store: Store) -> None:
    recorded = await store.add_exchange(CHAT, Exchange("비밀", "네", "v1", Source.GENERATOR, NOON), keep=False)
    assert recorded.turns is None
    assert await store.history(CHAT, 9) == History((), 0)
    again = await store.replace_exchange(CHAT, None, Exchange("비밀", "응", "v2", Source.GENERATOR, NOON))
    assert again.turns is None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id, model_version FROM replies").fetchall() == [
            (recorded.reply_id, "v1"),
            (again.reply_id, "v2"),
        ]


async def test_clear_history(store: Store) -> None:
    other = ConversationKey("telegram", "43")
    await store.set_persona(CHAT, ("나는 말벗이다.",))
    await say(store, 1, 2)
    await say(store, 9, key=other)
    newest = (await store.history(CHAT, 1)).turns[0].id
    await store.clear_history(CHAT)
    await store.clear_history(ConversationKey("discord", "nobody"))
    assert await store.history(CHAT, 9) == History((), 0)
    assert (await store.conversation(CHAT)).persona == ("나는 말벗이다.",)
    assert (await store.history(other, 9)).total == 2
    await say(store, 3)
    history = await store.history(CHAT, 9)
    assert texts(history) == ["3?", "3!"]
    assert history.total == 2
    assert history.turns[0].id > newest


async def test_ids_are_not_given_twice(path: Path, store: Store) -> None:
    await say(store, 1)
    newest = (await store.history(CHAT, 1)).turns[0].id
    await store.clear_history(CHAT)
    await say(store, 2)
    assert (await store.history(CHAT, 2)).turns[0].id == newest + 1


async def test_turns_go_with_their_conversation(path: Path, store: Store) -> None:
    await say(store, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM conversations")
        assert connection.execute("SELECT COUNT(*) FROM turns").fetchone() == (0,)


async def test_many_conversations_at_once(store: Store) -> None:
    keys = [ConversationKey("telegram", str(number)) for number in range(50)]

    async def talk(key: ConversationKey) -> None:
        for number in range(3):
            await say(store, number, key=key)
            assert (await store.history(key, 2)).total == 2 * number + 2

    await asyncio.gather(*(talk(key) for key in keys))
    for key in keys:
        assert texts(await store.history(key, 20)) == [text for n in range(3) for text in (f"{n}?", f"{n}!")]


async def test_exchanges_of_one_conversation_are_not_mixed(store: Store) -> None:
    await asyncio.gather(*(say(store, number) for number in range(50)))
    found = texts(await store.history(CHAT, 200))
    assert found == [text for n in range(50) for text in (f"{n}?", f"{n}!")]


async def test_cost_does_not_grow_with_the_history(store: Store) -> None:
    """Counted in steps of SQLite's virtual machine, on the one connection the store has."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    async with store._engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_progress_handler(count, 1)
    costs = []
    for exchanges in (10, 80):
        await say(store, *range(exchanges))
        await say(store, *range(exchanges), key=ConversationKey("discord", "42"))
        steps = 0
        history = await store.history(CHAT, 10)
        costs.append(steps)
        assert len(history.turns) == 10
    assert history.total == 180
    assert costs[0] == costs[1] > 0


async def test_nothing_is_readable_without_the_key(path: Path, store: Store) -> None:
    secret, fact, reply = "떡볶이 hush", "나는 김치찌개다 inkling", "순대 wontons"
    key = ConversationKey("telegram", "chat-4242")
    await store.set_persona(key, (fact,))
    await store.add_exchange(key, Exchange(secret, reply, "v1", Source.GENERATOR, NOON))
    raw = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert Path(f"{path}-wal").stat().st_size > 0
    assert b"chat-4242" in raw
    for text in (secret, fact, reply):
        for part in text.split():
            for form in (part.encode(), part.encode("utf-16-le"), json.dumps(part).strip('"').encode()):
                assert form not in raw


async def test_changed_text_is_noticed(path: Path, store: Store) -> None:
    await say(store, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (text,) = connection.execute("SELECT text FROM turns WHERE role = 'user'").fetchone()
        connection.execute("UPDATE conversations SET persona = ?", (text,))
        connection.execute("UPDATE turns SET text = ? WHERE role = 'user'", (text + b"0",))
    assert texts(await store.history(CHAT, 1)) == ["1!"]
    with pytest.raises(WrongKey):
        await store.history(CHAT, 2)
    with pytest.raises(WrongKey):
        await store.conversation(CHAT)


async def test_statements_are_portable(store: Store) -> None:
    """Every statement that runs also compiles for PostgreSQL."""
    statements: list[str] = []

    @event.listens_for(store._engine.sync_engine, "before_execute")
    def compile_it(connection: object, statement: ClauseElement, *rest: object) -> None:
        statements.append(str(statement.compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]

    await store.conversation(CHAT)
    await store.set_persona(CHAT, ("나는 말벗이다.",))
    await store.set_speech_level(CHAT, SpeechLevel.HAEYO)
    await say(store, 1)
    recorded = await store.add_exchange(CHAT, Exchange("응?", "네!", "v1", Source.GENERATOR, NOON, "p"))
    await store.replace_exchange(CHAT, recorded.turns, Exchange("응?", "다시", "v1", Source.GENERATOR, NOON, "p"))
    await store.history(CHAT, 5)
    message = IncomingMessage(CHAT, "7", "u", "n", "안녕", NOON, event_id="e7")
    entry_id = await store.accept(message)
    assert entry_id is not None
    entry = await store.entry(entry_id)
    assert entry is not None
    await store.waiting("telegram")
    await store.keep_answer(entry_id, Answer("네"))
    await store.fail(entry_id)
    await store.amend(message)
    await store.newest("telegram")
    await store.backlog()
    await store.settle(entry, State.DONE, recorded.reply_id, ["8"])
    await store.bury(entry_id)
    await store.purge()
    await store.judge(Feedback(CHAT, "u", Judgement.UP, reply_id=recorded.reply_id))
    await store.judge(Feedback(CHAT, "u", Judgement.DOWN, message_id="8"))
    await store.shown_as(recorded.reply_id)
    await store.decide("p", Purpose.MEMORY, True, 1)
    await store.decisions("p")
    await store.everything("p")
    await store.decide("p", Purpose.TRAINING, True, 1)
    await store.shared("p", NOON, {"console"})
    turn = ExportedTurn(recorded.turns.said if recorded.turns else 0, "p", "telegram")
    assert await store.record_export("e", NOON, [turn], await store.grants())
    await store.export_names()
    await store.withdraw("p", [Purpose.TRAINING], 1)
    (tombstone,) = await store.tombstones()
    await store.exports_of(tombstone)
    await store.waiting_tombstones()
    await store.applied([tombstone])
    await store.drop_tombstones(NOON)
    await store.bury_again([replace(tombstone, scope=Scope.FORGET)])
    await store.forget("p", 1)
    await store.clear_history(CHAT)
    await store.move("telegram", "42", "43")
    await store.forget("p", 1, CHAT, "e7")
    assert len(statements) > 40
    assert sum("ON CONFLICT (platform, event_id) DO" in text for text in statements) == 1
