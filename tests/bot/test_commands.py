from __future__ import annotations

import pytest

from bot.commands import HELP, Command, Name, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/help", Command(Name.HELP, "")),
        ("  /HELP  ", Command(Name.HELP, "")),
        ("/help@malbeot_bot", Command(Name.HELP, "")),
        ("/speech 반말", Command(Name.SPEECH, "반말")),
        ("/persona 나는 토리다.\n나는 전주에 산다.", Command(Name.PERSONA, "나는 토리다.\n나는 전주에 산다.")),
        ("/persona\n나는 토리다.", Command(Name.PERSONA, "나는 토리다.")),
        ("/nonsense 1", Command(None, "1")),
    ],
)
def test_commands(text: str, expected: Command) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["안녕", "/", "//", "/ㅋㅋ", "/ help", "오늘 /help", "1/2", ""])
def test_talk_is_no_command(text: str) -> None:
    assert parse(text) is None


def test_help_names_every_command() -> None:
    assert [name for name in Name if f"/{name}" not in HELP] == []
