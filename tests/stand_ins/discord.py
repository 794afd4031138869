"""Discord's REST API and gateway, version 10: one bot, one server, direct messages."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

from tests.stand_ins import StandIn, drop_connection

TOKEN = "stand-in.discord.token"
BOT_ID, GUILD_ID, CHANNEL_ID, THREAD_ID = 4242, 7000, 7001, 7002
BOT: dict[str, Any] = {"id": str(BOT_ID), "username": "말벗", "discriminator": "0", "avatar": None, "bot": True}
_APPLICATION = {
    "id": str(BOT_ID), "name": "말벗", "description": "", "icon": None, "bot_public": True,
    "bot_require_code_grant": False, "owner": BOT, "verify_key": "", "flags": 0,
}  # fmt: skip
_GUILD = {
    "id": str(GUILD_ID), "name": "서버", "owner_id": "1", "unavailable": False, "member_count": 2, "members": [],
    "roles": [{"id": str(GUILD_ID), "name": "@everyone", "permissions": "0", "position": 0, "color": 0,
               "hoist": False, "managed": False, "mentionable": False}],
    "channels": [{"id": str(CHANNEL_ID), "type": 0, "name": "수다", "position": 0, "permission_overwrites": []}],
    "threads": [{"id": str(THREAD_ID), "type": 11, "name": "실", "parent_id": str(CHANNEL_ID), "owner_id": "1",
                 "guild_id": str(GUILD_ID), "message_count": 1, "member_count": 1,
                 "thread_metadata": {"archived": False, "auto_archive_duration": 60,
                                     "archive_timestamp": "2026-01-01T00:00:00+00:00", "locked": False}}],
    "emojis": [], "stickers": [], "features": [], "presences": [], "voice_states": [], "stage_instances": [],
    "afk_timeout": 0, "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0,
    "mfa_level": 0, "nsfw_level": 0, "premium_tier": 0, "system_channel_flags": 0, "preferred_locale": "ko",
    "premium_progress_bar_enabled": False, "guild_scheduled_events": [], "soundboard_sounds": [],
}  # fmt: skip
_FIRST_ID = 1_400_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that was created, or refused: its channel, its JSON body, and when it came."""

    channel_id: int
    body: dict[str, Any]
    at: float

    @property
    def text(self) -> str:
        return str(self.body["content"])


class DiscordStandIn(StandIn):
    """`refusals` holds answers for the next sendings: seconds for a 429, or None to break the connection.

    `outages` counts logins that fail before one succeeds; `close_with` is a code the gateway answers IDENTIFY with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.refused: list[Sent] = []
        self.typing: list[int] = []
        self.heartbeats = 0
        self.identified: dict[str, Any] | None = None
        self.refusals: deque[float | None] = deque()
        self.outages = 0
        self.close_with: int | None = None
        self._ids = itertools.count(_FIRST_ID)
        self._sequence = itertools.count(1)
        self._socket: web.WebSocketResponse | None = None
        self.app.router.add_get("/api/v10/users/@me", self._me)
        self.app.router.add_get("/api/v10/oauth2/applications/@me", self._application)
        self.app.router.add_post("/api/v10/channels/{channel}/messages", self._create)
        self.app.router.add_post("/api/v10/channels/{channel}/typing", self._type)
        self.app.router.add_get("/gateway", self._gateway)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    async def say(self, channel_id: int, text: str, **fields: Any) -> int:
        """A direct message, or what `fields` say; returns its id. Waits for the bot to be there."""
        await self.until(lambda: self._socket is not None)
        number = next(self._ids)
        author = {
            "id": str(channel_id),
            "username": "minji",
            "global_name": "민지",
            "discriminator": "0",
            "avatar": None,
        }
        await self._dispatch(
            "MESSAGE_CREATE",
            {
                **{"id": str(number), "channel_id": str(channel_id), "author": author, "content": text, "type": 0},
                **{"timestamp": datetime.now(UTC).isoformat(), "edited_timestamp": None, "tts": False},
                **{"mention_everyone": False, "mentions": [], "mention_roles": [], "attachments": [], "embeds": []},
                **{"pinned": False, "flags": 0, "components": []},
                **fields,
            },
        )
        return number

    async def _dispatch(self, event: str, data: object) -> None:
        assert self._socket is not None
        await self._socket.send_json({"op": 0, "t": event, "s": next(self._sequence), "d": data})

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 40_000}})
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            await self._received(socket, json.loads(message.data))
        if self._socket is socket:
            self._socket = None
        return socket

    async def _received(self, socket: web.WebSocketResponse, payload: dict[str, Any]) -> None:
        if payload["op"] == 1:
            self.heartbeats += 1
            await socket.send_json({"op": 11})
        elif payload["op"] == 2 and self.close_with is not None:
            await socket.close(code=self.close_with)
        elif payload["op"] == 2:
            self.identified = payload["d"]
            self._socket = socket
            ready = {"v": 10, "user": BOT, "session_id": "session", "resume_gateway_url": self.gateway_url}
            guilds = [{"id": str(GUILD_ID), "unavailable": True}]
            await self._dispatch("READY", {**ready, "guilds": guilds, "application": {"id": str(BOT_ID), "flags": 0}})
            await self._dispatch("GUILD_CREATE", _GUILD)
            await self.note()

    async def _me(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bot {TOKEN}":
            return _json({"message": "401: Unauthorized", "code": 0}, 401)
        if self.outages:
            self.outages -= 1
            return _json({"message": "unavailable", "code": 0}, 503)
        return _json(BOT)

    async def _application(self, _: web.Request) -> web.Response:
        return _json(_APPLICATION)

    async def _create(self, request: web.Request) -> web.Response:
        message = Sent(int(request.match_info["channel"]), await request.json(), asyncio.get_running_loop().time())
        if self.refusals:
            seconds = self.refusals.popleft()
            self.refused.append(message)
            await self.note()
            if seconds is None:
                drop_connection(request)
                return _json({})
            # Without a Via header the library takes a 429 for a ban and does not try again.
            return _json({"message": "slow down", "retry_after": seconds, "global": False}, 429, {"Via": "1.1 google"})
        self.sent.append(message)
        await self.note()
        return _json(
            {
                **{"id": str(next(self._ids)), "channel_id": str(message.channel_id), "author": BOT, "type": 0},
                **{"content": message.text, "timestamp": datetime.now(UTC).isoformat(), "edited_timestamp": None},
                **{"tts": False, "mention_everyone": False, "mentions": [], "mention_roles": [], "attachments": []},
                **{"embeds": [], "pinned": False, "flags": 0, "components": []},
            }
        )

    async def _type(self, request: web.Request) -> web.Response:
        self.typing.append(int(request.match_info["channel"]))
        await self.note()
        return web.Response(status=204)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # The library compares the content type with exactly this, without a charset.
    body = json.dumps(value).encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})
