from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import pty
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import discord
import httpx
import pytest
import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from telegram import Bot
from telegram.error import TelegramError
from telegram.request import BaseRequest

from bot import logs
from bot.errors import BadDatabase
from bot.health import DEFAULT_HOST, serve_health
from bot.logs import HIDDEN, Redactor, without_texts
from bot.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent.parent
TELEGRAM_TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
DISCORD_TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
KEY = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
SAID = "비밀인데 나 요즘 너무 외로워"

Capture = pytest.CaptureFixture[str]
ours, library = logging.getLogger("bot.inbox"), logging.getLogger("some.library")


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging and the hooks belong to the process: leave them as they were."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    names = [*logs._OURS, *logs._NOISY, "discord", "telegram"]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, own_level in levels.items():
        logging.getLogger(name).setLevel(own_level)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks
    structlog.reset_defaults()


def listen(capsys: Capture) -> Callable[[], str]:
    """Configure; what it returns gives everything on stderr since the last call, a JSON line a record."""
    logs.configure("DEBUG", [KEY, "s3cret/값"], json=True)
    return lambda: capsys.readouterr().err


def record(line: str) -> dict[str, Any]:
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "secret",
    [TELEGRAM_TOKEN, TELEGRAM_TOKEN.replace(":", "%3A"), DISCORD_TOKEN, KEY, "s3cret/값", "s3cret%2F%EA%B0%92"],
)
def test_a_secret_is_hidden_wherever_it_stands(secret: str, capsys: Capture) -> None:
    shown = listen(capsys)
    ours.info("한 %s 둘", secret)
    ours.info(f"한{secret}둘")
    ours.info("%(name)s", {"name": [secret]})
    library.warning(f"https://example.org/{secret}/getMe?x={secret}")
    structlog.stdlib.get_logger("bot.inbox").info("event", token=secret, nested={"a": [secret]})
    output = shown()
    assert len(output.splitlines()) == 5
    assert secret not in output
    assert output.count(HIDDEN) == 7


URLS = {
    "https://api.telegram.org/bot42:short_one/getMe": "https://api.telegram.org/bot[숨김]/getMe",
    "https://discord.com/api/webhooks/12/aW50ZXJh/messages": "https://discord.com/api/webhooks/12/[숨김]/messages",
    "https://discord.com/api/interactions/1/aW5/callback": "https://discord.com/api/interactions/1/[숨김]/callback",
    "https://x.org/a?size=3&access_token=abc&b=1": "https://x.org/a?size=3&access_token=[숨김]&b=1",
    "socks5://minji:hunter2@proxy:1080": "socks5://[숨김]@proxy:1080",
}


@pytest.mark.parametrize(("url", "kept"), URLS.items())
def test_urls_lose_what_opens_something(url: str, kept: str) -> None:
    assert Redactor([]).redact(f"GET {url} 200") == f"GET {kept} 200"


def test_what_is_no_secret_stays() -> None:
    line = "2026-01-01T12:30:59Z bot.store.store 3:14 model malbeot-3 at 127.0.0.1:9464/healthz, 4 of 12 waiting"
    assert Redactor([""]).redact(line) == line
    # And a secret that begins another leaves no rest of it.
    assert Redactor(["abcdef", "abcdefghi"]).redact("abcdefghi") == HIDDEN


async def test_real_httpx_and_telegram_records_carry_no_token(capsys: Capture) -> None:
    shown = listen(capsys)
    logging.getLogger("httpx").setLevel(logging.INFO)
    async with serve_health(DEFAULT_HOST, 0, Metrics(), {}) as port, httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/bot{TELEGRAM_TOKEN}/getMe")
        bot = Bot(TELEGRAM_TOKEN, base_url=f"http://127.0.0.1:{port}/bot")
        try:
            await bot.get_me()
        except TelegramError as error:
            logging.getLogger("telegram.ext.Application").exception("No error handlers are registered: %s", error)
        await bot._request[1].shutdown()
    output = shown()
    assert [record(line)["logger"] for line in output.splitlines()].count("httpx") == 2
    assert "telegram.ext.Application" in output
    assert TELEGRAM_TOKEN.split(":")[1] not in output


def test_what_telegram_logs_of_an_unreadable_update_is_not_shown(capsys: Capture) -> None:
    shown = listen(capsys)
    with pytest.raises(TelegramError):
        BaseRequest.parse_json_payload(f'{{"text": "{SAID}", "token": "{TELEGRAM_TOKEN}"'.encode())
    (line,) = shown().splitlines()
    assert record(line)["event"] == 'Can not load invalid JSON data: "<str>"'
    assert "JSONDecodeError" in record(line)["error"]
    assert SAID not in line


async def test_a_real_discord_error_is_kind_and_place(capsys: Capture) -> None:
    client = discord.Client(intents=discord.Intents.none())
    shown = listen(capsys)

    async def on_message(message: str) -> None:
        raise RuntimeError(f"{message} {DISCORD_TOKEN}")

    await client._run_event(on_message, "on_message", SAID)
    logging.getLogger("discord.gateway").debug("WebSocket Event: %s", {"content": SAID})
    (line,) = shown().splitlines()
    assert record(line)["logger"] == "discord.client"
    assert record(line)["error"].startswith("RuntimeError < on_message (test_logs.py:")
    assert SAID not in line
    assert DISCORD_TOKEN not in line


def fail(said: str) -> None:
    token_in_a_local = f"{TELEGRAM_TOKEN} {said}"
    try:
        raise KeyError(token_in_a_local)
    except KeyError as error:
        raise ValueError("110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", said) from error  # the source line has it too


@pytest.mark.parametrize("name", ["bot.inbox", "some.library"])
def test_exceptions_show_neither_arguments_nor_source_lines_nor_locals(name: str, capsys: Capture) -> None:
    shown = listen(capsys)
    log, bound = logging.getLogger(name), structlog.stdlib.get_logger(name)
    try:
        fail(SAID)
    except ValueError as error:
        log.exception("Failed.", stack_info=True)
        log.error("Failed: %s", error)
        log.error("Failed: %r after %d tries", error, 3)
        log.error(error)
        bound.exception("Failed.")
        bound.error("Failed: %s", error)
        bound.error("Failed.", reason=error)
    lines = shown().splitlines()
    assert len(lines) == 7
    for line in lines:
        assert "ValueError < fail (test_logs.py:" in line
        assert "because of KeyError" in line
        assert SAID not in line
        assert "AAHdq" not in line
        assert "raise " not in line


def test_groups_endless_chains_and_deep_stacks_end() -> None:
    first, second = ValueError(SAID), TypeError(SAID)
    first.__cause__, second.__cause__ = second, first
    told = without_texts(ExceptionGroup(SAID, [first, KeyError(SAID)]))
    assert told == "ExceptionGroup(ValueError, KeyError)"
    assert len(without_texts(first)) < 200

    def dive(depth: int) -> None:
        if depth:
            dive(depth - 1)
        raise RecursionError(SAID)

    with pytest.raises(RecursionError) as caught:
        dive(200)
    assert len(without_texts(caught.value).split(" < ")) == 9


def test_our_own_sentences_are_shown_and_a_cause_put_away_stays_away(capsys: Capture) -> None:
    shown = listen(capsys)
    ours.error("A message could not be handled: %s", BadDatabase("디스크에 남은 자리가 없어요."))
    try:
        try:
            fail(SAID)
        except ValueError:
            raise BadDatabase("열 수 없어요.") from None
    except BadDatabase:
        ours.exception("Closed.")
    first, second = map(record, shown().splitlines())
    assert first["event"] == "A message could not be handled: 디스크에 남은 자리가 없어요."
    assert "ValueError" not in second["error"]


def test_values_of_sql_statements_are_not_shown(capsys: Capture) -> None:
    shown = listen(capsys)
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT :said FROM nowhere"), {"said": SAID})
    engine.dispose()
    assert SAID in str(caught.value)
    ours.error("Storing failed: %s", caught.value, exc_info=caught.value)
    (line,) = shown().splitlines()
    assert "OperationalError" in line
    assert SAID not in line


async def test_what_asyncio_says_of_lost_errors_quotes_nobody(capsys: Capture) -> None:
    shown = listen(capsys)

    def callback(said: str) -> None:
        raise RuntimeError(said)

    async def task(said: str) -> None:
        raise RuntimeError(said)

    asyncio.get_running_loop().call_soon(callback, SAID)
    lost = asyncio.create_task(task(SAID))
    await asyncio.wait([lost])
    del lost
    gc.collect()
    events = {record(line)["event"]: record(line) for line in shown().splitlines()}
    assert "Task exception was never retrieved" in events
    assert any(event.startswith("Exception in callback") for event in events)
    assert all("RuntimeError" in found["error"] for found in events.values())
    assert SAID not in str(events)


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_levels(level: str, capsys: Capture) -> None:
    logs.configure(level, [], json=True)
    numbers = ("DEBUG", "INFO", "WARNING", "ERROR")
    expected = {
        "bot.inbox": numbers.index(level),
        "adapters.waiting": numbers.index(level),
        "discord.gateway": max(1, numbers.index(level)),
        "httpx": max(2, numbers.index(level)),
        "alembic.runtime": max(2, numbers.index(level)),
        "apscheduler.scheduler": max(2, numbers.index(level)),
    }
    for name, lowest in expected.items():
        for number in numbers:
            logging.getLogger(name).log(logging.getLevelNamesMapping()[number], "here")
        found = [record(line)["level"].upper() for line in capsys.readouterr().err.splitlines()]
        assert found == list(numbers[lowest:]), name


def test_a_record_is_one_line_and_configuring_again_does_not_double_it(capsys: Capture) -> None:
    shown = listen(capsys)
    logs.configure("INFO", [], json=True)
    ours.info("하나\n2026-01-01 CRITICAL 꾸며 낸 줄 \x1b[31m%s", "\u2028끝")
    (line,) = shown().splitlines()
    assert (found := record(line)).pop("timestamp")
    said = "하나 2026-01-01 CRITICAL 꾸며 낸 줄  [31m 끝"
    assert found == {"event": said, "logger": "bot.inbox", "level": "info"}


def test_a_record_that_does_not_fit_its_values_is_still_shown_without_them(capsys: Capture) -> None:
    shown = listen(capsys)

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError(SAID)

    ours.info("%d messages", SAID)
    ours.info("%s", Unprintable())
    first, second = shown().splitlines()
    assert record(first)["event"] == "%d messages"
    assert second.startswith("A log record of bot.inbox:")
    assert second.endswith("could not be written: RuntimeError")


def test_warnings_of_python_go_the_same_way(capsys: Capture) -> None:
    shown = listen(capsys)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {TELEGRAM_TOKEN}", UserWarning, stacklevel=1)
    (line,) = shown().splitlines()
    assert record(line)["logger"] == "py.warnings"
    assert f"UserWarning: old {HIDDEN}" in record(line)["event"]


PROGRAM = f"""
import logging, sys, threading
from bot import logs
logs.configure("INFO", [{KEY!r}], {{"None": None, "False": False}}[sys.argv[1]])
logging.getLogger("bot").info("켜졌어요 %s", {KEY!r})
def fail(): raise ValueError({SAID!r})
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def run(json_lines: str, errors: int) -> int:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, json_lines]
    return subprocess.run(command, stderr=errors, cwd=ROOT, check=False, timeout=60).returncode


@pytest.mark.parametrize(("json_lines", "is_json"), [("None", True), ("False", False)])
def test_a_program_that_fails_away_from_a_terminal(json_lines: str, is_json: bool, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        assert run(json_lines, file.fileno()) == 1
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert "\x1b" not in "".join(lines)
    assert [line.startswith("{") for line in lines] == [is_json] * 3
    assert f"켜졌어요 {HIDDEN}" in lines[0]
    for line in lines[1:]:
        assert "ValueError < fail (<string>:" in line
        assert SAID not in line


def test_in_a_terminal_it_is_for_people() -> None:
    terminal, inside = pty.openpty()
    try:
        assert run("None", inside) == 1
        os.close(inside)
        seen = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
    assert not seen.startswith("{")
    assert "\x1b[" in seen
    assert "켜졌어요" in seen
    assert SAID not in seen
    assert KEY not in seen
