from __future__ import annotations

import io

import pytest
from rich.console import Console

from adapters.console import RichSurface, chat_lines, given_lines
from bot.messages import Answer, IncomingMessage, Surface


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=20)


async def test_a_streamed_message_grows_and_is_shown_once(console: Console) -> None:
    surface = RichSurface(console, "말벗")
    for text in ("안", "안녕하", "안녕하세요"):
        await surface.draft(text)
    await surface.send(Answer("안녕하세요!"))
    assert shown(console) == "말벗 › 안녕하세요!\n"


async def test_a_message_that_went_another_way_is_written_anew(console: Console) -> None:
    surface = RichSurface(console, "말벗")
    await surface.draft("그건")
    await surface.send(Answer("다시 말해 주세요."))
    assert shown(console) == "말벗 › 그건\n말벗 › 다시 말해 주세요.\n"


async def test_what_people_and_models_write_is_no_markup(console: Console) -> None:
    await RichSurface(console, "말벗").send(Answer("[bold]굵게[/bold] :smile: [/"))
    assert shown(console) == "말벗 › [bold]굵게[/bold] :smile: [/\n"


async def test_lines_are_answered_in_order_one_message_each(capsys: pytest.CaptureFixture[str]) -> None:
    messages: list[IncomingMessage] = []

    async def handle(message: IncomingMessage, surface: Surface) -> None:
        messages.append(message)
        await surface.draft("…")
        await surface.send(Answer(f"{message.text}!"))

    await chat_lines(handle, given_lines(["하나", "둘"]))
    assert capsys.readouterr().out == "하나!\n둘!\n"
    assert [message.message_id for message in messages] == ["1", "2"]
    assert {message.key for message in messages} == {messages[0].key}
    assert all(message.sent_at.tzinfo for message in messages)
