"""The local gateway, version 10: sessions that can be resumed, and everything that goes wrong with connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import WSMsgType, web

from tests.stand_ins import drop_connection
from tests.stand_ins.discord_data import BOT, BOT_ID, GUILD, GUILD_ID, Json

_HEARTBEAT, _IDENTIFY, _RESUME, _RECONNECT, _INVALID, _HELLO, _ACKNOWLEDGED = 1, 2, 6, 7, 9, 10, 11
# Closed with these by the bot, a session ends; any other end of a connection leaves it open to be resumed.
_ENDING = (1000, 1001)


@dataclass(slots=True)
class Session:
    """What one connection of the bot has been told; `socket` is None while it is away."""

    id: str
    shard: tuple[int, int]
    events: list[Json] = field(default_factory=list)
    socket: web.WebSocketResponse | None = None
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)


class Gateway:
    """`identified` holds the bot's IDENTIFYs, `resumed` counts resumes, `heartbeats` heartbeats.

    `close_with`: a code that IDENTIFY is answered with. `refusals`: so many connections end before HELLO.
    `heartbeat_seconds`: told to the bot in HELLO. `frozen`: connections are open, and nobody is at the other end.
    """

    def __init__(self, url: Callable[[], str], note: Callable[[], Awaitable[None]]) -> None:
        self.identified: list[Json] = []
        self.resumed = 0
        self.heartbeats = 0
        self.heartbeat_seconds = 40.0
        self.close_with: int | None = None
        self.refusals = 0
        self.frozen = False
        self._url = url
        self._note = note
        self._sessions: dict[int, Session] = {}
        self._requests: dict[web.WebSocketResponse, web.Request] = {}

    @property
    def has_session(self) -> bool:
        """Whether events reach the bot, now or when it resumes."""
        return bool(self._sessions)

    @property
    def is_connected(self) -> bool:
        """Whether every session has a connection."""
        return self.has_session and all(session.socket is not None for session in self._sessions.values())

    async def dispatch(self, event: str, data: Json) -> None:
        """Tell the bot; where it is away, when it resumes. Without a session nobody is told."""
        guild_id = int(data.get("guild_id", 0))
        for session in self._sessions.values():
            number, count = session.shard
            if (guild_id >> 22) % count == number:
                await self._tell(session, event, data)

    async def drop(self) -> None:
        """Every connection breaks."""
        for socket in self._sockets():
            drop_connection(self._requests[socket])

    async def ask_to_reconnect(self) -> None:
        """The gateway is about to restart."""
        await self._send_to_all({"op": _RECONNECT, "d": None})

    async def invalidate(self, resumable: bool) -> None:
        """Sessions are invalid; not `resumable`: they are forgotten."""
        payload = {"op": _INVALID, "d": resumable}
        sockets = self._sockets()
        if not resumable:
            self._sessions.clear()
        for socket in sockets:
            await socket.send_json(payload)

    async def close(self, code: int) -> None:
        """Close every connection; the sessions stay."""
        sockets = self._sockets()
        for session in self._sessions.values():
            session.socket = None
        for socket in sockets:
            await socket.close(code=code)

    async def forget(self) -> None:
        """Connections break, and a resume will be refused: what comes until then is in the history only."""
        await self.drop()
        self._sessions.clear()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One connection."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.refusals:
            self.refusals -= 1
            await socket.close(code=1011)
            return socket
        self._requests[socket] = request
        await socket.send_json({"op": _HELLO, "d": {"heartbeat_interval": int(self.heartbeat_seconds * 1000)}})
        # What is sent to a connection that has just broken is lost with it.
        with contextlib.suppress(ConnectionResetError):
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                await self._received(socket, json.loads(message.data))
        del self._requests[socket]
        for shard, session in list(self._sessions.items()):
            if session.socket is socket:
                session.socket = None
                if socket.close_code in _ENDING:
                    del self._sessions[shard]
        await self._note()
        return socket

    async def _received(self, socket: web.WebSocketResponse, payload: Json) -> None:
        if payload["op"] == _HEARTBEAT:
            self.heartbeats += 1
            if not (self.frozen and socket in self._sockets()):
                await socket.send_json({"op": _ACKNOWLEDGED})
        elif payload["op"] == _IDENTIFY and self.close_with is not None:
            await socket.close(code=self.close_with)
        elif payload["op"] == _IDENTIFY:
            await self._begin(socket, payload["d"])
        elif payload["op"] == _RESUME:
            await self._resume(socket, payload["d"])
        await self._note()

    async def _begin(self, socket: web.WebSocketResponse, identity: Json) -> None:
        number, count = identity.get("shard", (0, 1))
        self.frozen = False
        session = Session(uuid4().hex, (number, count), socket=socket)
        self._sessions[number] = session
        self.identified.append(identity)
        in_shard = (GUILD_ID >> 22) % count == number
        ready = {
            "v": 10, "user": BOT, "session_id": session.id, "resume_gateway_url": self._url(),
            "guilds": [{"id": str(GUILD_ID), "unavailable": True}] if in_shard else [],
            "application": {"id": str(BOT_ID), "flags": 0}, "shard": [number, count],
        }  # fmt: skip
        await self._tell(session, "READY", ready)
        if in_shard:
            await self._tell(session, "GUILD_CREATE", GUILD)

    async def _resume(self, socket: web.WebSocketResponse, wanted: Json) -> None:
        session = next((one for one in self._sessions.values() if one.id == wanted["session_id"]), None)
        if session is None:
            await socket.send_json({"op": _INVALID, "d": False})
            return
        self.frozen = False
        self.resumed += 1
        async with session.sending:
            session.socket = socket
            for event in session.events:
                if event["s"] > wanted["seq"]:
                    await socket.send_json(event)
        await self._tell(session, "RESUMED", {})

    async def _tell(self, session: Session, event: str, data: Json) -> None:
        async with session.sending:
            payload = {"op": 0, "t": event, "s": len(session.events) + 1, "d": data}
            session.events.append(payload)
            if session.socket is not None and not self.frozen:
                # A connection that has just broken: the bot learns of it when it resumes.
                with contextlib.suppress(ConnectionResetError):
                    await session.socket.send_json(payload)

    async def _send_to_all(self, payload: Json) -> None:
        for socket in self._sockets():
            await socket.send_json(payload)

    def _sockets(self) -> list[web.WebSocketResponse]:
        return [session.socket for session in self._sessions.values() if session.socket is not None]
