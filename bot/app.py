"""The only file that builds and joins everything: settings -> key, database, engine -> manager -> a platform."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters import console
from adapters.answering import Handle
from adapters.errors import AdapterError
from bot.conversation import ConversationManager
from bot.errors import BadSettings
from bot.settings import Settings
from bot.store.cipher import Cipher, load_key
from bot.store.database import check_database
from bot.store.store import Store
from model.engine import Engine, EngineConfig
from model.manifest import check_folder

# The project's own dialogues: what the retriever may answer from.
OWN_DIALOGUES = Path(__file__).resolve().parent.parent / "training" / "data"
# Chosen by reading 60 openings beside a generator that is still small: from .3 on nearly every match fits as it stands,
# down to .2 half of them do. Raise both as the generator grows.
TAKE_SIMILARITY = 0.3
JOIN_SIMILARITY = 0.2

BOT_NAME = "말벗"
GREETING = "안녕하세요, 저는 AI 말벗이에요. 편하게 말을 걸어 주세요. (/help: 도움말, Ctrl-C: 나가기)"


def configure_logging(level: str) -> None:
    """Log to stderr. Message texts are never logged."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Routine to these libraries, news to nobody.
    for name in ("alembic", "httpx", "apscheduler"):
        logging.getLogger(name).setLevel(logging.WARNING)


def engine_config(settings: Settings) -> EngineConfig:
    """What the settings ask of the engine. Raises BadCheckpoint when there can be no such model."""
    folder = settings.model_folder()
    check_folder(folder)
    return EngineConfig(
        model=folder,
        chat_format=settings.format,
        threads=settings.threads,
        retriever=OWN_DIALOGUES,
        take_similarity=TAKE_SIMILARITY,
        join_similarity=JOIN_SIMILARITY,
    )


def open_cipher(settings: Settings) -> Cipher:
    """The cipher of what is stored; makes a key on the very first run, and says so on stderr.

    Never a new key for an old database: that one only opens with its own. Raises BadSettings, BadDatabase, WrongKey.
    """
    first_run = not settings.database.exists()
    loaded = load_key(settings.key, settings.key_file, settings.database, create=first_run)
    if loaded.created:
        print(
            f"대화를 암호화할 열쇠를 새로 만들어 {loaded.source} 에 두었어요. 잃어버리면 대화를 되살릴 수 없으니 "
            "따로 안전한 곳에 복사해 두세요. (MALBEOT_KEY로 직접 정할 수도 있어요.)",
            file=sys.stderr,
        )
    return Cipher(loaded.key)


@asynccontextmanager
async def open_manager(settings: Settings) -> AsyncIterator[ConversationManager]:
    """Everything a platform needs. What is wrong is found before anything is written.

    Raises BotError and ModelError, each a sentence that says what to do.
    """
    config = engine_config(settings)
    if settings.database.exists():
        check_database(settings.database, open_cipher(settings))
    async with Engine(config) as engine, Store.open(settings.database, open_cipher(settings)) as store:
        yield ConversationManager(store, engine, settings.sampling())


async def chat(settings: Settings, say: list[str]) -> None:
    """The terminal chat; with `say`, or without a terminal, one plain reply a line."""
    configure_logging(settings.log_level)
    async with open_manager(settings) as manager:
        if say:
            await console.chat_lines(manager.handle, console.given_lines(say))
        elif sys.stdin.isatty() and sys.stdout.isatty():
            await console.chat_terminal(manager.handle, BOT_NAME, GREETING)
        else:
            await console.chat_lines(manager.handle, console.stdin_lines())


async def start(settings: Settings) -> None:
    """The platforms whose tokens are set; the terminal chat when none is."""
    if settings.telegram_token is None and settings.discord_token is None:
        await chat(settings, [])
    else:
        await run(settings)


async def run(settings: Settings) -> None:
    """Serve the platforms whose tokens are set, until stopped by SIGTERM or Ctrl-C.

    Raises BadSettings when no token is set, and AdapterError when a platform refuses its own.
    """
    configure_logging(settings.log_level)
    if settings.telegram_token is None and settings.discord_token is None:
        raise BadSettings(".env에 TELEGRAM_TOKEN이나 DISCORD_TOKEN을 적어 주세요. 터미널 대화는 토큰 없이도 돼요.")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_manager(settings) as manager:
        try:
            async with asyncio.TaskGroup() as group:
                for server in _servers(settings, manager.handle, stop):
                    group.create_task(server)
        except* AdapterError as errors:
            raise errors.exceptions[0] from None


def _servers(settings: Settings, handle: Handle, stop: asyncio.Event) -> Iterator[Coroutine[None, None, None]]:
    # Both libraries take long to import, and the terminal needs neither.
    from adapters import discord_bot, telegram_bot

    if settings.telegram_token is not None:
        yield telegram_bot.serve(settings.telegram_token.get_secret_value(), handle, stop, settings.telegram_api_url)
    if settings.discord_token is not None:
        yield discord_bot.serve(
            settings.discord_token.get_secret_value(),
            handle,
            stop,
            settings.discord_api_url,
            settings.discord_gateway_url,
        )
