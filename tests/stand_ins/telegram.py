"""A Bot API server: one bot, its updates, and what it sends."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.stand_ins import StandIn, drop_connection

TOKEN = "4242:stand-in_token"
BOT: dict[str, Any] = {"id": 4242, "is_bot": True, "first_name": "말벗", "username": "malbeot_bot"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of sendMessage or sendChatAction, with its fields as they came and when."""

    fields: dict[str, str]
    at: float

    @property
    def chat_id(self) -> int:
        return int(self.fields["chat_id"])

    @property
    def text(self) -> str:
        return self.fields["text"]


class TelegramStandIn(StandIn):
    """`refusals` holds answers for the next sendings: a status and parameters, or None to break the connection.

    `outages` counts calls of getMe that fail before one succeeds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Call] = []
        self.refused: list[Call] = []
        self.typing: list[Call] = []
        self.confirmed = 0
        self.leaving = False
        self.refusals: deque[tuple[int, dict[str, int]] | None] = deque()
        self.outages = 0
        self._updates: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self.app.router.add_post("/bot{token}/{method}", self._call)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def say(self, chat_id: int, text: str, **fields: Any) -> int:
        """A message in a private chat, or in what `fields` say; returns its id."""
        number = next(self._numbers)
        sender = {"id": chat_id, "is_bot": False, "first_name": "민지"}
        message = {
            "message_id": number,
            "date": 1_760_000_000 + number,
            "chat": {"id": chat_id, "type": "private", "first_name": "민지"},
            "from": sender,
            "text": text,
            **fields,
        }
        self._updates.append({"update_id": 1000 + number, "message": message})
        await self.note()
        return number

    async def _call(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            return _error(401, "Unauthorized")
        fields = {name: str(value) for name, value in (await request.post()).items()}
        match request.match_info["method"]:
            case "getMe":
                return self._get_me()
            case "getUpdates":
                return await self._get_updates(int(fields.get("offset", 0)), float(fields.get("timeout", 0)))
            case "sendMessage":
                return await self._send_message(request, fields)
            case "sendChatAction":
                self.typing.append(Call(fields, asyncio.get_running_loop().time()))
                await self.note()
                return _ok(True)
            case "deleteWebhook":
                return _ok(True)
        return _error(404, "Not Found")

    def _get_me(self) -> web.Response:
        if self.outages:
            self.outages -= 1
            return _error(502, "Bad Gateway")
        return _ok(BOT)

    async def _get_updates(self, offset: int, timeout: float) -> web.Response:  # noqa: ASYNC109  (the API's own)
        self.confirmed = max(self.confirmed, offset - 1)
        if not timeout:
            # The library's last call before it ends, which only confirms.
            self.leaving = True
            await self.note()
        self._updates = [update for update in self._updates if update["update_id"] >= offset]
        if timeout and not self._updates:
            try:
                await self.until(lambda: self._updates, timeout)
            except TimeoutError:
                return _ok([])
        return _ok(self._updates[:100])

    async def _send_message(self, request: web.Request, fields: dict[str, str]) -> web.Response:
        call = Call(fields, asyncio.get_running_loop().time())
        if self.refusals:
            refusal = self.refusals.popleft()
            self.refused.append(call)
            await self.note()
            if refusal is None:
                drop_connection(request)
                return _ok(True)
            return _error(refusal[0], "Refused", refusal[1])
        self.sent.append(call)
        await self.note()
        chat = {"id": call.chat_id, "type": "private"}
        return _ok({"message_id": next(self._numbers), "date": 1_760_000_000, "chat": chat, "text": call.text})


def entity(text: str, part: str, kind: str, **fields: Any) -> dict[str, Any]:
    """An entity of `text` that covers `part`; offsets are in UTF-16 units, as Telegram's."""
    before = text[: text.index(part)]
    return {"type": kind, "offset": _units(before), "length": _units(part), **fields}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _ok(result: object) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _error(status: int, description: str, parameters: dict[str, int] | None = None) -> web.Response:
    body = {"ok": False, "error_code": status, "description": description, "parameters": parameters or {}}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
