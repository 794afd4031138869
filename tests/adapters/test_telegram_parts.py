"""The pure parts of Telegram's adapter, and the stand-in as a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import InlineKeyboardMarkup
from telegram.error import BadRequest

from adapters.telegram_buttons import Action, Pressed, keyboard, pressed, with_chosen, without_choices
from adapters.telegram_calls import FloodWaits, given_up
from adapters.telegram_drafts import GROUP_A_MINUTE, GroupPace
from adapters.telegram_request import proxy_for
from adapters.telegram_settings import MessageRefused
from bot.messages import Answer, Choice, Undeliverable

ROOT = Path(__file__).resolve().parents[2]
SAYS = st.text(min_size=1, max_size=60).filter(str.strip)


def test_a_chat_that_is_refused_waits_alone() -> None:
    waits = FloodWaits()
    waits.refuse(1, 30, now=100)
    waits.refuse(2, 5, now=100)
    assert (waits.left(1, 110), waits.left(2, 103)) == (20, 2)
    assert waits.left(3, 100) <= 0
    assert waits.left(2, 105) <= 0


def test_three_chats_that_are_refused_at_once_mean_all() -> None:
    waits = FloodWaits()
    for chat in (1, 2, 3):
        waits.refuse(chat, 5, now=100)
    assert waits.left(4, 101) == 4
    assert waits.left(4, 105) <= 0
    # Those of before are over.
    waits.refuse(5, 5, now=200)
    assert waits.left(4, 200) <= 0


def test_a_group_has_its_pace_whatever_is_answered() -> None:
    pace = GroupPace()
    allowed = [second for second in range(0, 120) if pace.allows(-100, float(second))]
    assert len([second for second in allowed if second < 60]) == GROUP_A_MINUTE
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(allowed))
    assert pace.allows(-200, 30.0)
    for second in allowed:
        assert len([other for other in allowed if second <= other < second + 60]) <= GROUP_A_MINUTE


@given(st.lists(st.builds(Choice, SAYS, SAYS), max_size=3), st.none() | st.integers(1, 2**63))
def test_every_button_fits_and_says_what_it_was_made_for(choices: list[Choice], reply_id: int | None) -> None:
    markup = keyboard(Answer("네", reply_id=reply_id, choices=tuple(choices)))
    if markup is None:
        assert not choices
        assert reply_id is None
        return
    buttons = [button for row in markup.inline_keyboard for button in row]
    read = [pressed(str(button.callback_data), markup) for button in buttons]
    assert all(len(str(button.callback_data).encode()) <= 64 for button in buttons)
    assert [each.says for each in read if each is not None and each.says] == [choice.says for choice in choices]
    about = [(each.action, each.reply_id) for each in read if each is not None and not each.says]
    judged = [(action, reply_id) for action in (Action.UP, Action.DOWN, Action.AGAIN)]
    assert about == (judged if reply_id is not None else [])


def test_without_the_buttons_only_a_judgement_is_believed() -> None:
    assert pressed("down:3", None) == Pressed(Action.DOWN, reply_id=3)
    assert pressed("again:3", None) is None
    assert pressed("down:3", InlineKeyboardMarkup([])) is None


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert proxy_for("https://api.telegram.org") == "http://proxy.example:3128"
    assert proxy_for("https://127.0.0.1:8081") is None


def test_marks_move_and_choices_go() -> None:
    markup = keyboard(Answer("네", reply_id=3, choices=(Choice("응", "응"),)))
    assert markup is not None
    both = with_chosen(with_chosen(markup, Action.UP), Action.DOWN)
    assert [button.text for row in both.inline_keyboard for button in row] == ["응", "👍", "👎 ✓", "🔄 다시"]
    left = without_choices(both)
    assert left is not None
    assert [button.text for row in left.inline_keyboard for button in row] == ["👍", "👎 ✓", "🔄 다시"]
    only = keyboard(Answer("네", choices=(Choice("응", "응"),)))
    assert only is not None
    assert without_choices(only) is None


def test_a_chat_that_is_gone_is_told_from_a_message_that_is_refused() -> None:
    assert isinstance(given_up(BadRequest("Chat not found")), Undeliverable)
    assert isinstance(given_up(BadRequest("Not enough rights to send text messages to the chat")), Undeliverable)
    assert isinstance(given_up(BadRequest("Message is too long")), MessageRefused)


async def test_the_stand_in_runs_alone() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.stand_ins.telegram", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(url) as session:
            async with session.post("/stand-in/say", json={"chat_id": 11, "text": "안녕"}) as said:
                assert await said.json() == 1
            async with session.post("/bot4242:stand-in_token/sendMessage", data={"chat_id": 11, "text": "네"}) as sent:
                assert sent.status == 200
            async with session.get("/stand-in/sent") as told:
                (line,) = await told.json()
        assert (line["chat_id"], line["text"], line["message_id"]) == (11, "네", 2)
    finally:
        process.terminate()
        await process.wait()
