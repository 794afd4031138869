"""The command: what it asks, tells and writes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model.dialogue import Role, SpeechLevel
from tests.training.chats.samples import ANDROID_KO, DISCORD, PC_KO, TELEGRAM, telegram_chat, telegram_message, write
from training.import_chats import DISCORD_REMINDER, QUESTION, app
from training.importers.jsonl import import_jsonl

# Kiwi takes seconds to load its model.
pytestmark = pytest.mark.slow

runner = CliRunner()


def run(file: Path, out: Path, *options: str, me: str = "하나") -> Result:
    return runner.invoke(app, [str(file), "--me", me, "--out", str(out), *options])


def account(*titles: str) -> str:
    """An export with a chat of each title, in which 두리 and 하나 greet each other."""
    chats = [
        telegram_chat([telegram_message(1, title, "잘 잤어?"), telegram_message(2, "하나", "응 푹 잤어요")], name=title)
        for title in titles
    ]
    return json.dumps({"chats": {"list": chats}}, ensure_ascii=False)


def test_a_chat_becomes_dialogues_that_read_back(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = run(write(tmp_path, ANDROID_KO), out, "--agreed")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith(f"{out}: 2 dialogues, 4 turns.\n")
    imported = import_jsonl(out)
    assert imported.problems == ()
    assert [(dialogue.source, dialogue.speech_level) for dialogue in imported.dialogues] == [
        ("kakaotalk-android", SpeechLevel.BANMAL)
    ] * 2
    assert [turn.role for turn in imported.dialogues[0].turns] == [Role.USER, Role.BOT]
    first, second = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    assert (first["person"], second["person"]) == ("person-1", "person-1")
    assert first["id"] != second["id"]
    assert "두리" not in out.read_text(encoding="utf-8")


def test_the_file_is_the_owners_alone_and_whole(tmp_path: Path) -> None:
    out = write(tmp_path, "before", "out.jsonl")
    out.chmod(0o644)
    assert run(write(tmp_path, PC_KO), out, "--agreed").exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.dat", "out.jsonl"]


def test_the_report_counts_every_message(tmp_path: Path) -> None:
    result = run(write(tmp_path, ANDROID_KO), tmp_path / "out.jsonl", "--agreed")
    rows = [line.split("│")[1:3] for line in result.stdout.splitlines() if line.startswith("│")]
    table = {name.strip(): int(count) for name, count in rows}
    assert (table["회원님 (you)"], table["두리"]) == (4, 4)
    assert (table["read"], table["kept"]) == (9, 5)
    assert table["kept"] + sum(count for name, count in table.items() if name.startswith("dropped: ")) == table["read"]
    assert table["dropped: a picture, a file, a call or other media"] == 1


def test_everybody_must_have_agreed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = run(write(tmp_path, TELEGRAM), out)
    assert result.exit_code == 2
    assert "두리" in result.stdout
    assert result.stderr == f"{QUESTION} There is no terminal to ask on; give --agreed if they did.\n"
    assert not out.exists()


@pytest.mark.parametrize(("typed", "code", "told"), [(b"y\n", 0, "2 dialogues"), (b"\n", 2, "ask them first")])
def test_a_terminal_is_asked(tmp_path: Path, typed: bytes, code: int, told: str) -> None:
    out, ours = tmp_path / "out.jsonl", write(tmp_path, ANDROID_KO)
    master, terminal = pty.openpty()
    os.write(master, typed)
    command = [sys.executable, "-m", "training.import_chats", str(ours), "--me", "하나", "--out", str(out)]
    ended = subprocess.run(command, stdin=terminal, capture_output=True, timeout=120, check=False)
    os.close(master)
    os.close(terminal)
    assert ended.returncode == code
    assert QUESTION in (ended.stdout + ended.stderr).decode()
    assert told in (ended.stdout + ended.stderr).decode()
    assert out.exists() is (code == 0)


@pytest.mark.parametrize(
    ("content", "me", "sentence"),
    [
        (
            TELEGRAM,
            "네리",
            "'네리' wrote nothing in this chat; give --me with one of the names in it: 두리 (4), 하나 (4).",
        ),
        (
            ANDROID_KO,
            "두리",
            "Whoever exported this chat is called 회원님 in it, not '두리'; if you did, give --me 회원님.",
        ),
        (PC_KO.replace("두리", "하나"), "하나", "Nobody but 하나 wrote in this chat: there is nobody to be answered."),
        (TELEGRAM[:200], "하나", "the JSON ends in the middle: the file is cut; export the chat again."),
        ("안녕", "하나", "the format of this file is not known; supported are KakaoTalk"),
        (PC_KO[: PC_KO.index("그냥")], "하나", "no exchange is left that may be learnt; nothing was written."),
    ],
)
def test_errors_are_a_sentence_and_nothing_is_written(tmp_path: Path, content: str, me: str, sentence: str) -> None:
    out = write(tmp_path, "before", "out.jsonl")
    result = run(write(tmp_path, content), out, "--agreed", me=me)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.dat", "out.jsonl"]


def test_the_exporter_is_found_by_the_word_the_file_has_for_them(tmp_path: Path) -> None:
    result = run(write(tmp_path, ANDROID_KO), tmp_path / "out.jsonl", "--agreed", me="다른 이름")
    assert (result.exit_code, "회원님 (you)" in result.stdout) == (0, True)


def test_some_chats_of_an_account(tmp_path: Path) -> None:
    out, file = tmp_path / "out.jsonl", write(tmp_path, account("두리", "세리", "네리"))
    result = run(file, out, "--agreed", "--chat", "네리", "--chat", "두리")
    assert (result.exit_code, "세리" in result.stdout) == (0, False)
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(record["person"], record["speech"]) for record in records] == [
        ("person-1", "해요체"),
        ("person-2", "해요체"),
    ]
    missing = run(file, out, "--agreed", "--chat", "없음")
    assert missing.stderr == "There is no chat '없음' in the file; choose of '두리', '세리', '네리'.\n"


def test_the_gap_is_the_users_to_choose(tmp_path: Path) -> None:
    messages = [telegram_message(1, "두리", "잘 잤어?"), telegram_message(31, "하나", "응 푹 잤어")]
    file = write(tmp_path, json.dumps(telegram_chat(messages), ensure_ascii=False))
    assert run(file, tmp_path / "out.jsonl", "--agreed").exit_code == 0
    assert "no exchange is left" in run(file, tmp_path / "out.jsonl", "--agreed", "--gap-hours", "0.4").stderr


def test_discord_comes_with_a_reminder(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert DISCORD_REMINDER in run(write(tmp_path, DISCORD), out, "--agreed").stdout
    assert DISCORD_REMINDER not in run(write(tmp_path, TELEGRAM), out, "--agreed").stdout


def test_names_with_marks_are_shown_as_they_are(tmp_path: Path) -> None:
    text = PC_KO.replace("두리", "[/두리]")
    assert "[/두리]" in run(write(tmp_path, text), tmp_path / "out.jsonl", "--agreed").stdout


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    file = write(tmp_path, PC_KO)
    assert "choose a name that ends in .jsonl" in run(file, tmp_path / "out.json", "--agreed").stderr
    assert "cannot be written" in run(file, tmp_path / "none" / "out.jsonl", "--agreed").stderr


def test_other_encodings_are_told(tmp_path: Path) -> None:
    result = run(write(tmp_path, PC_KO.encode("cp949")), tmp_path / "out.jsonl", "--agreed")
    assert "Note: the file is no UTF-8; it was read as cp949" in result.stdout
