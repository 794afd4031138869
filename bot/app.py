"""The only file that builds and joins everything: settings -> key, database, engine -> manager -> a platform."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from adapters import console
from adapters.errors import AdapterError
from bot import logs
from bot.canary import Canary
from bot.check_ins import CheckIns
from bot.commands import MENU, is_right
from bot.conversation import ConversationManager, OnReply, OtherResponder
from bot.errors import BadSettings
from bot.flywheel import Flywheel
from bot.health import Check, serve_health
from bot.inbox import Inbox
from bot.job_log import JobLog, jobs_file
from bot.jobs import Jobs, all_jobs
from bot.limits import FloodLimit
from bot.messages import IncomingMessage
from bot.metrics import Metrics, Readings
from bot.privacy import PRIVACY
from bot.safety.crisis import is_crisis
from bot.safety.guard import warm_up
from bot.settings import Settings
from bot.store.cipher import Cipher, load_key
from bot.store.database import check_database
from bot.store.store import Store, utc_now
from model.dialogue import Reply, Responder
from model.engine import Engine, EngineConfig
from model.manifest import check_folder
from model.ranker import GENERATOR_CONFIDENCE, TAKE_CONFIDENCE

# The project's own dialogues: what the retriever may answer from.
OWN_DIALOGUES = Path(__file__).resolve().parent.parent / "training" / "data"

_LARGEST_CACHE_MB = 1024

BOT_NAME = "말벗"
GREETING = "안녕하세요, 저는 AI 말벗이에요. 편하게 말을 걸어 주세요. (/help: 도움말, Ctrl-C: 나가기)"


def engine_config(settings: Settings) -> EngineConfig:
    """What the settings ask of the engine. Raises BadCheckpoint when there can be no such model."""
    folder = settings.model_folder()
    check_folder(folder)
    return EngineConfig(
        model=folder,
        chat_format=settings.format,
        threads=settings.threads,
        device=settings.device,
        backend=settings.backend,
        precision=settings.precision,
        cache_mb=settings.cache_mb or default_cache_mb(),
        max_running=settings.batch,
        retriever=OWN_DIALOGUES,
        take_confidence=TAKE_CONFIDENCE,
        generator_confidence=GENERATOR_CONFIDENCE,
    )


def default_cache_mb() -> int:
    """Memory for what was read of conversations, in MB: an eighth of the machine's, and no more than is ever of use."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(1, min(_LARGEST_CACHE_MB, machine // 8))


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


class RunningEngine(Responder, Protocol):
    """What makes the replies: `model.engine.Engine`, or something that costs no weights."""

    @property
    def pid(self) -> int | None:
        """The process that works, None while there is none."""
        ...

    @property
    def running(self) -> int:
        """Requests being worked on."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        ...

    @property
    def model_version(self) -> str:
        """The model that answers."""
        ...

    async def swap(self, model: Path) -> None:
        """Answer with the checkpoint in the folder `model` from now on (see `model.engine.Engine.swap`)."""
        ...


StartEngine = Callable[[Settings], AbstractAsyncContextManager[RunningEngine]]


def start_engine(settings: Settings) -> AbstractAsyncContextManager[RunningEngine]:
    """The engine over the model of the settings. Raises BadCheckpoint when there can be none."""
    return Engine(engine_config(settings))


@dataclass(frozen=True, slots=True)
class Bot:
    """What every way of talking needs."""

    engine: RunningEngine
    store: Store
    manager: ConversationManager


@asynccontextmanager
async def open_bot(
    settings: Settings,
    on_reply: OnReply = lambda message, entry_id, reply: None,
    on_crisis: Callable[[], None] = lambda: None,
    engine_starter: StartEngine = start_engine,
    candidate: OtherResponder = lambda key: None,
) -> AsyncIterator[Bot]:
    """Engine, store and manager. What is wrong is found before anything is written.

    Raises BotError and ModelError, each a sentence that says what to do.
    """
    privacy_text = settings.privacy_text() or PRIVACY
    starting = engine_starter(settings)
    if settings.database.exists():
        check_database(settings.database, open_cipher(settings))
    # Beside the loading of the model, which is in another process.
    warming = asyncio.create_task(asyncio.to_thread(warm_up))
    async with starting as engine, Store.open(settings.database, open_cipher(settings)) as store:
        await warming
        manager = ConversationManager(
            store,
            engine,
            settings.sampling(),
            suggestions=settings.suggestions,
            on_reply=on_reply,
            on_crisis=on_crisis,
            candidate=candidate,
            privacy_text=privacy_text,
        )
        yield Bot(engine, store, manager)


async def chat(settings: Settings, say: list[str]) -> None:
    """The terminal chat; with `say`, or without a terminal, one plain reply a line."""
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    async with open_bot(settings) as bot:
        if say:
            await console.chat_lines(bot.manager.handle, console.given_lines(say))
        elif sys.stdin.isatty() and sys.stdout.isatty():
            await console.chat_terminal(bot.manager.handle, BOT_NAME, GREETING)
        else:
            await console.chat_lines(bot.manager.handle, console.stdin_lines())


async def start(settings: Settings) -> None:
    """The platforms whose tokens are set; the terminal chat when none is."""
    if settings.telegram_token is None and settings.discord_token is None:
        await chat(settings, [])
    else:
        await run(settings)


async def run(settings: Settings, engine_starter: StartEngine = start_engine) -> None:
    """Serve the platforms whose tokens are set, until stopped by SIGTERM or Ctrl-C.

    Raises BadSettings when no token is set, and AdapterError when a platform refuses its own.
    """
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    if settings.telegram_token is None and settings.discord_token is None:
        raise BadSettings(".env에 TELEGRAM_TOKEN이나 DISCORD_TOKEN을 적어 주세요. 터미널 대화는 토큰 없이도 돼요.")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()

    def on_reply(message: IncomingMessage, entry_id: int | None, reply: Reply) -> None:
        metrics.replied(message.key.platform, reply, inbox.seconds_since(entry_id))
        if reply.tokens:
            metrics.generated(reply.tokens, reply.seconds)

    canary = Canary(settings.models, settings.candidate_share, partial(_start_candidate, settings, engine_starter))
    async with open_bot(settings, on_reply, metrics.crisis, engine_starter, canary.responder) as bot:
        limit = FloodLimit(settings.flood_burst, settings.flood_per_minute)
        inbox = Inbox(bot.store, bot.manager.answer, limit, metrics, always_heard=always_heard, moved=bot.manager.moved)
        log = JobLog(jobs_file(settings))
        metrics.watch(_readings(bot.engine, inbox, log))
        try:
            async with (
                _health(settings, bot, inbox, metrics),
                _jobs(settings, bot, inbox, canary, log),
                asyncio.TaskGroup() as group,
            ):
                for server in _servers(settings, inbox, stop):
                    group.create_task(server)
        except* AdapterError as errors:
            raise errors.exceptions[0] from None


def always_heard(text: str) -> bool:
    """Whether no limit may come before this message: a call for help, or what people have a right to."""
    return is_right(text) or is_crisis(text)


def _start_candidate(
    settings: Settings, engine_starter: StartEngine, folder: Path
) -> AbstractAsyncContextManager[Responder]:
    return engine_starter(settings.model_copy(update={"model": folder}))


@asynccontextmanager
async def _jobs(settings: Settings, bot: Bot, inbox: Inbox, canary: Canary, log: JobLog) -> AsyncIterator[None]:
    """The schedule, unless it is switched off."""
    if not settings.jobs:
        yield
        return
    check_ins = CheckIns(bot.store, inbox.put, utc_now)
    flywheel = Flywheel(settings, bot.store, bot.engine, open_cipher(settings))
    try:
        async with Jobs(all_jobs(flywheel, canary, check_ins), log).scheduled():
            yield
    finally:
        await canary.close()


def _readings(engine: RunningEngine, inbox: Inbox, log: JobLog) -> Readings:
    return Readings(
        inbox_waiting=lambda: inbox.waiting,
        oldest_seconds=lambda: inbox.oldest_seconds,
        engine_running=lambda: engine.running,
        engine_waiting=lambda: engine.waiting,
        model_version=lambda: engine.model_version,
        jobs=lambda: log.records,
    )


@asynccontextmanager
async def _health(settings: Settings, bot: Bot, inbox: Inbox, metrics: Metrics) -> AsyncIterator[None]:
    async def database() -> bool:
        await bot.store.backlog()
        return True

    checks: dict[str, Check] = {"database": database, "engine": lambda: bot.engine.pid is not None}
    for platform, token in (("telegram", settings.telegram_token), ("discord", settings.discord_token)):
        if token is not None:
            checks[platform] = partial(inbox.serves, platform)
    if settings.health_port == 0:
        yield
        return
    async with serve_health(settings.health_host, settings.health_port, metrics, checks):
        yield


def _servers(settings: Settings, inbox: Inbox, stop: asyncio.Event) -> Iterator[Coroutine[None, None, None]]:
    # Both libraries take long to import, and the terminal needs neither.
    from adapters import discord_bot, telegram_bot

    if settings.telegram_token is not None:
        webhook = None
        if settings.telegram_webhook_url is not None:
            webhook = telegram_bot.TelegramWebhook(settings.telegram_webhook_url, settings.telegram_webhook_port)
        telegram = telegram_bot.TelegramSettings(
            settings.telegram_token.get_secret_value(),
            lock_path=settings.database.parent,
            commands=MENU,
            api_url=settings.telegram_api_url,
            webhook=webhook,
        )
        yield telegram_bot.serve(telegram, inbox, stop)
    if settings.discord_token is not None:
        discord = discord_bot.DiscordSettings(
            settings.discord_token.get_secret_value(),
            commands=MENU,
            api_url=settings.discord_api_url,
            gateway_url=settings.discord_gateway_url,
            sharded=settings.discord_sharded,
        )
        yield discord_bot.serve(discord, inbox, stop)
