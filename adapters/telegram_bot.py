"""Telegram: private chats and their topics, and groups where the bot is spoken to."""

from __future__ import annotations

import asyncio
import logging
import re

from telegram import Bot, BotCommand
from telegram.error import InvalidToken, TelegramError

from adapters.errors import BadToken
from adapters.telegram_calls import Calls, kind_of
from adapters.telegram_intake import Intake
from adapters.telegram_lock import only_instance
from adapters.telegram_polling import insist, poll
from adapters.telegram_request import AiohttpRequest, PollingRequest, proxy_for
from adapters.telegram_settings import BAD_TOKEN, TelegramSettings, TelegramWebhook
from adapters.telegram_surface import TelegramPlatform
from adapters.telegram_webhook import listen
from bot.messages import CommandInfo, Reception

__all__ = ["TelegramSettings", "TelegramWebhook", "serve"]

_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")
_API_URL = "https://api.telegram.org"
_CONNECTIONS = 100

_log = logging.getLogger(__name__)


async def serve(settings: TelegramSettings, reception: Reception, stop: asyncio.Event) -> None:
    """Answer messages until `stop`: then none is fetched any more, and what was accepted is finished.

    While Telegram cannot be reached, tries again. Raises BadToken, AlreadyRunning, LockFailed and BadWebhook.
    """
    # What the library logs quotes texts, and the token.
    logging.getLogger("telegram").setLevel(logging.CRITICAL)
    if not _TOKEN.fullmatch(settings.token):
        raise BadToken(BAD_TOKEN)
    with only_instance(settings.lock_path, settings.token):
        bot = _bot(settings)
        try:
            await insist(stop, bot.initialize)
            if not stop.is_set():
                await _serve(bot, settings, reception, stop)
        except InvalidToken:
            # Without its cause, which quotes the token.
            raise BadToken(BAD_TOKEN) from None
        finally:
            await bot.shutdown()


def _bot(settings: TelegramSettings) -> Bot:
    url = (settings.api_url or _API_URL).rstrip("/")
    proxy = proxy_for(url)
    request, polling = AiohttpRequest(_CONNECTIONS, proxy), PollingRequest(proxy)
    return Bot(settings.token, f"{url}/bot", f"{url}/file/bot", request=request, get_updates_request=polling)


async def _serve(bot: Bot, settings: TelegramSettings, reception: Reception, stop: asyncio.Event) -> None:
    calls = Calls()
    commands = frozenset(command.name for command in settings.commands)
    menu = asyncio.create_task(_show_menu(bot, settings.commands, stop))
    try:
        async with (
            reception.serving(TelegramPlatform(bot, calls, reception)),
            Intake(bot, calls, reception, commands) as intake,
        ):
            if settings.webhook is not None:
                await listen(bot, settings.webhook, intake.take, stop)
            else:
                # While a webhook is set, Telegram answers no polls.
                await insist(stop, bot.delete_webhook)
                await poll(bot, intake.take, stop)
    finally:
        menu.cancel()
        await asyncio.wait([menu])


async def _show_menu(bot: Bot, commands: tuple[CommandInfo, ...], stop: asyncio.Event) -> None:
    """Tell Telegram what its menu shows. The bot works without."""
    menu = [BotCommand(command.name, command.description) for command in commands]
    for language in (None, "ko"):
        try:
            await insist(stop, lambda: bot.set_my_commands(menu, language_code=language))  # noqa: B023  (awaited at once)
        except TelegramError as error:
            _log.warning("The menu of commands was not set (%s).", kind_of(error))
