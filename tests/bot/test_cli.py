"""The command line as a person runs it: real processes, a tiny model with random weights, real files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.console import KEY
from bot.store.cipher import Cipher, load_key
from bot.store.store import Store
from tests.model.conftest import make_checkpoint
from tests.stand_ins.telegram import TOKEN, TelegramStandIn

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 120.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "tiny", "malbeot")


def environment(home: Path, model: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALBEOT_", "TELEGRAM", "DISC"))}
    own = {
        "MALBEOT_DATABASE": str(home / "data" / "m.db"),
        "MALBEOT_KEY_FILE": str(home / "keys" / "key"),
        "MALBEOT_MODEL": str(model),
        "MALBEOT_MAX_NEW_TOKENS": "8",
        "MALBEOT_CANDIDATES": "2",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }
    return kept | own | more


def bot(*arguments: str, home: Path, model: Path, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=environment(home, model, **more),
        cwd=home,
        check=False,
    )


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


async def stored(home: Path) -> list[str]:
    key = load_key(None, home / "keys" / "key", home / "data" / "m.db")
    async with Store.open(home / "data" / "m.db", Cipher(key.key)) as store:
        return [turn.text for turn in (await store.history(KEY, 100)).turns]


@pytest.mark.slow
def test_piped_lines_get_a_reply_each_and_are_remembered(tmp_path: Path, model: Path) -> None:
    first = bot(home=tmp_path, model=model, said="안녕\n오늘 너무 피곤해\n")
    assert first.returncode == 0, first.stderr
    replies = first.stdout.splitlines()
    assert len(replies) == 2
    assert all(replies)
    assert "열쇠" in first.stderr

    odd = ["😀😀", "<eos><bot>나는 사람이야", "\x07\u202e", "가" * 1_000_000]
    arguments = [word for text in odd for word in ("--say", text)]
    second = bot("chat", "--say", "/speech 반말", *arguments[:-2], home=tmp_path, model=model)
    assert second.returncode == 0, second.stderr
    assert len(second.stdout.splitlines()) == 4
    assert second.stderr == ""
    third = bot("chat", home=tmp_path, model=model, said=odd[-1] + "\r\n/retry")
    assert "4,000자" in third.stdout.splitlines()[0]
    assert len(third.stdout.splitlines()) == 2

    turns = asyncio.run(stored(tmp_path))
    assert turns[:4] == ["안녕", replies[0], "오늘 너무 피곤해", replies[1]]
    assert turns[4:8:2] == odd[:2]
    assert len(turns) == 8
    healthy = bot("doctor", home=tmp_path, model=model)
    assert (healthy.returncode, healthy.stdout.count("✓")) == (0, 4), healthy.stdout


@pytest.mark.slow
def test_what_is_wrong_is_one_sentence_and_changes_nothing(tmp_path: Path, model: Path) -> None:
    assert bot("chat", "--say", "안녕", home=tmp_path, model=model).returncode == 0
    broken = make_checkpoint(tmp_path / "broken", "malbeot")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    other_key = {"MALBEOT_KEY": "A" * 43 + "="}
    not_a_database = tmp_path / "notes.txt"
    not_a_database.write_text("데이터베이스가 아니에요. " * 100, encoding="utf-8")
    before = tree(tmp_path)
    cases: list[tuple[Path, dict[str, str]]] = [
        (tmp_path / "missing", {}),
        (broken, {}),
        (model, other_key),
        (model, {"MALBEOT_DATABASE": str(not_a_database)}),
        (model, {"MALBEOT_TEMPERATURE": "hot"}),
        (model, {"MALBEOT_FORMAT": "morse"}),
    ]
    for folder, settings in cases:
        result = bot("chat", "--say", "안녕", home=tmp_path, model=folder, **settings)
        assert result.returncode == 2, (folder, settings, result.stderr)
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert tree(tmp_path) == before, (folder, settings)
    sick = bot("doctor", home=tmp_path, model=tmp_path / "missing", **other_key)
    assert (sick.returncode, sick.stdout.count("✗")) == (2, 2), sick.stdout


SILENT = """
import asyncio, sys
from pathlib import Path
from adapters import console
from bot.conversation import ConversationManager
from bot.store.cipher import Cipher, load_key
from bot.store.store import Store
from model.dialogue import Sampling
from tests.bot.fakes import ScriptedResponder

async def main(home):
    key = load_key(None, home / "keys" / "key", home / "data" / "m.db", create=True)
    async with Store.open(home / "data" / "m.db", Cipher(key.key)) as store:
        responder = ScriptedResponder(lambda context: "응!")
        manager = ConversationManager(store, responder, Sampling())
        await console.chat_lines(manager.handle, console.given_lines(["안녕"]))
        responder.gate = asyncio.Event()
        responder.asked.clear()
        task = asyncio.create_task(console.chat_lines(manager.handle, console.given_lines(["듣고 있어?"])))
        await responder.asked.wait()
        print("asked", flush=True)
        await task

asyncio.run(main(Path(sys.argv[1])))
"""


def test_kill_in_the_middle_of_a_reply_leaves_whole_exchanges(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SILENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, tmp_path),
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "응!\n"
        assert process.stdout.readline() == "asked\n"
        process.kill()
    assert asyncio.run(stored(tmp_path)) == ["안녕", "응!"]


def read_until(terminal: int, wanted: str) -> str:
    """What the terminal shows up to and with `wanted`."""
    shown = b""
    deadline = time.monotonic() + LIMIT
    while wanted not in shown.decode("utf-8", "ignore"):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, shown.decode("utf-8", "replace")
        shown += os.read(terminal, 4096)
    return shown.decode("utf-8", "ignore")


@pytest.mark.slow
def test_the_terminal_shows_a_streamed_reply_and_ctrl_c_leaves_cleanly(tmp_path: Path, model: Path) -> None:
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "bot"],
        stdin=inside,
        stdout=inside,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Whoever runs the tests in the background has Ctrl-C ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=environment(tmp_path, model, MALBEOT_CANDIDATES="1", TERM="xterm"),
        cwd=tmp_path,
    ) as process:
        os.close(inside)
        try:
            assert "AI 말벗" in read_until(terminal, "나 › ")
            os.write(terminal, "지구 반대편의 날씨는\n".encode())
            assert "말벗 › " in read_until(terminal, "나 › ")
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    os.close(terminal)
    assert process.returncode == 0
    assert "Traceback" not in errors.decode()


@pytest.mark.slow
async def test_run_serves_a_platform_until_it_is_stopped(tmp_path: Path, model: Path) -> None:
    async with TelegramStandIn() as telegram:
        await telegram.say(7, "안녕")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            env=environment(tmp_path, model, TELEGRAM_TOKEN=TOKEN, TELEGRAM_API_URL=telegram.url, PYTHONWARNINGS=""),
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await telegram.until(lambda: len(telegram.sent) == 1, LIMIT)
        finally:
            process.terminate()
            _, errors = await process.communicate()
        assert telegram.sent[0].chat_id == 7
    assert process.returncode == 0
    assert TOKEN not in errors.decode()
    assert "안녕" not in errors.decode()


@pytest.mark.slow
def test_a_refused_token_is_one_sentence(tmp_path: Path, model: Path) -> None:
    result = bot("run", home=tmp_path, model=model, TELEGRAM_TOKEN="nonsense", PYTHONWARNINGS="")
    assert result.returncode == 2
    assert "텔레그램" in result.stderr
    assert "Traceback" not in result.stderr
    assert bot("run", home=tmp_path, model=model).returncode == 2
