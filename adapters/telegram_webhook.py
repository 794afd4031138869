"""Being called by Telegram with updates."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from urllib.parse import urlsplit

from aiohttp import web
from telegram import Bot, Update
from telegram.error import BadRequest

from adapters.errors import without_texts
from adapters.telegram_polling import Take, insist
from adapters.telegram_settings import BAD_PORT, BAD_WEBHOOK, BadWebhook, TelegramWebhook
from adapters.telegram_updates import ALLOWED_UPDATES

_HEADER = "X-Telegram-Bot-Api-Secret-Token"
# Telegram keeps the order within a chat over all of them.
_CONNECTIONS = 80
_STOP_SECONDS = 5.0

_log = logging.getLogger(__name__)


def secret_of(webhook: TelegramWebhook, token: str) -> str:
    """What proves that a call comes from Telegram."""
    return webhook.secret or hashlib.sha256(f"webhook:{token}".encode()).hexdigest()


async def listen(bot: Bot, webhook: TelegramWebhook, take: Take, stop: asyncio.Event) -> None:
    """Take the updates that Telegram brings until `stop`; it keeps for later those that were not stored.

    Raises BadWebhook when Telegram refuses the address, or the port is not free.
    """
    secret = secret_of(webhook, bot.token)
    app = web.Application()
    app.router.add_post(urlsplit(webhook.url).path or "/", _Hook(bot, secret, take).answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, webhook.host, webhook.port).start()
        await _announce(bot, webhook, secret, stop)
        await stop.wait()
    except OSError as error:
        raise BadWebhook(BAD_PORT.format(port=webhook.port, reason=error.strerror)) from error
    finally:
        # Finishes the calls that are being answered.
        await runner.cleanup()


async def _announce(bot: Bot, webhook: TelegramWebhook, secret: str, stop: asyncio.Event) -> None:
    try:
        await insist(
            stop,
            lambda: bot.set_webhook(
                webhook.url, max_connections=_CONNECTIONS, allowed_updates=ALLOWED_UPDATES, secret_token=secret
            ),
        )
    except BadRequest as error:
        raise BadWebhook(BAD_WEBHOOK.format(reason=error.message)) from None


class _Hook:
    def __init__(self, bot: Bot, secret: str, take: Take) -> None:
        self._bot = bot
        self._secret = secret
        self._take = take

    async def answer(self, request: web.Request) -> web.Response:
        """200 once the update is committed; 500 asks Telegram to bring it again."""
        if not hmac.compare_digest(request.headers.get(_HEADER, "").encode(), self._secret.encode()):
            return web.Response(status=403)
        try:
            update = Update.de_json(await request.json(), self._bot)
        except Exception as error:
            # Telegram would bring it again and again.
            _log.error("An update could not be read and is left out: %s", without_texts(error))
            return web.Response(status=200)
        try:
            await self._take(update)
        except Exception as error:
            _log.error("An update could not be stored; Telegram brings it again: %s", without_texts(error))
            return web.Response(status=500)
        return web.Response(status=200)
