"""A Bot API server: one bot, the people who talk to it, and all that it sends.

Inside a test or a benchmark: `async with TelegramStandIn() as telegram`, give the bot `TOKEN` and `telegram.url`
(TELEGRAM_API_URL when it is a process of its own, which may be killed and started again meanwhile), let people act
(`say`, `press` ... of TelegramPeople) and wait with `telegram.until(lambda: ...)`. `faults` says what goes wrong.

As a process of its own: `python -m tests.stand_ins.telegram` prints its address and serves until it is ended.
`POST /stand-in/say` (or show, edit, press, react, act) with the arguments as JSON returns what the method does,
`GET /stand-in/sent` is what was sent, oldest first: `[{"chat_id", "text", "message_id", "at"}]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from tests.stand_ins import StandIn, drop_connection
from tests.stand_ins.telegram_faults import Faults
from tests.stand_ins.telegram_methods import Methods, Refusal
from tests.stand_ins.telegram_people import BOT, OPENED, Json, TelegramPeople, entity

__all__ = ["BOT", "OPENED", "TOKEN", "Call", "TelegramStandIn", "entity"]

TOKEN = "4242:stand-in_token"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the bot's with its fields as they came, files apart; `at` is the loop's time in seconds."""

    method: str
    fields: dict[str, str]
    files: dict[str, tuple[str, str]]
    at: float
    message_id: int = 0
    """Of the message that was made."""

    @property
    def chat_id(self) -> int:
        return int(self.fields["chat_id"])

    @property
    def text(self) -> str:
        return self.fields["text"]

    @property
    def buttons(self) -> list[tuple[str, str]]:
        """Label and data of each."""
        markup = json.loads(self.fields.get("reply_markup", "{}"))
        return [(each["text"], each["callback_data"]) for row in markup.get("inline_keyboard", []) for each in row]


class TelegramStandIn(StandIn, TelegramPeople):
    """`done` holds the calls that were carried out by method, `refused` those that a fault or the rules stopped.

    Updates stay until a poll asks for later ones, as Telegram's do; a second poller ends the first one's poll with 409.
    """

    def __init__(self) -> None:
        StandIn.__init__(self)
        TelegramPeople.__init__(self)
        self.faults = Faults()
        self.done: defaultdict[str, list[Call]] = defaultdict(list)
        self.refused: list[Call] = []
        self.webhook: dict[str, str] = {}
        """The fields of setWebhook while one is set."""
        self.confirmed = 0
        self.leaving = False
        self.state = Methods(self.messages, self._message_ids)
        self._poller = object()
        self._allowed: set[str] = set()
        self.app.router.add_post("/bot{token}/{method}", self._answer)
        self.app.router.add_post("/stand-in/{deed}", self._act_by_hand)
        self.app.router.add_get("/stand-in/sent", self._tell_sent)

    async def note(self) -> None:
        await StandIn.note(self)

    @property
    def url(self) -> str:
        """What TELEGRAM_API_URL is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sent(self) -> list[Call]:
        """Messages, without drafts and documents."""
        return self.done["sendMessage"]

    @property
    def typing(self) -> list[Call]:
        return self.done["sendChatAction"]

    @property
    def drafts(self) -> list[Call]:
        return self.done["sendMessageDraft"]

    @property
    def edits(self) -> list[Call]:
        return self.done["editMessageText"]

    def screen(self, chat_id: int) -> list[str]:
        """The bot's messages in a chat as people see them now, oldest first."""
        shown = sorted((number, message) for (chat, number), message in self.messages.items() if chat == chat_id)
        return [message.get("text", "") for _, message in shown if message["from"]["id"] == BOT["id"]]

    def labels(self, chat_id: int, message_id: int) -> list[str]:
        """What is written on the buttons of a message now."""
        rows = self.messages[chat_id, message_id].get("reply_markup", {}).get("inline_keyboard", [])
        return [button["text"] for row in rows for button in row]

    async def deliver(self, *, secret: str | None = None, times: int = 1) -> list[int]:
        """Bring the waiting updates to the webhook, the oldest first, each `times` over; the statuses it gave.

        What it did not take with 200 waits on. `secret` is sent in the place of the one that was agreed on.
        """
        statuses = []
        headers = {SECRET_HEADER: secret if secret is not None else self.webhook.get("secret_token", "")}
        async with aiohttp.ClientSession(headers=headers) as session:
            for update in list(self.updates):
                for _ in range(times):
                    async with session.post(self.webhook["url"], json=update) as response:
                        statuses.append(response.status)
                if response.status == 200:
                    self.updates.remove(update)
        return statuses

    async def _answer(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            return _error(Refusal(401, "Unauthorized"))
        method = request.match_info["method"]
        fields, files = await _read(request)
        call = Call(method, fields, files, asyncio.get_running_loop().time())
        fault = self.faults.next(method, int(fields["chat_id"]) if "chat_id" in fields else None)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            if fault.status is not None or (fault.reset and not fault.processed):
                self.refused.append(call)
                await self.note()
                if fault.status is not None:
                    return _error(Refusal(fault.status, fault.description, fault.parameters))
                return _broken(request)
        response = await self._carry_out(call)
        return _broken(request) if fault is not None and fault.reset else response

    async def _carry_out(self, call: Call) -> web.Response:
        try:
            if call.method == "getUpdates":
                return _ok(await self._get_updates(call.fields))
            result = self._do(call)
        except Refusal as refusal:
            self.refused.append(call)
            await self.note()
            return _error(refusal)
        await self.note()
        return _ok(result)

    def _do(self, call: Call) -> Any:
        match call.method:
            case "setWebhook":
                self.webhook = call.fields
                self._allowed = set(json.loads(call.fields.get("allowed_updates", "[]")))
                result: Any = True
            case "deleteWebhook":
                self.webhook = {}
                result = True
            case _:
                result = self.state.carry_out(call.method, call.fields)
        made = result["message_id"] if isinstance(result, dict) and "message_id" in result else 0
        self.done[call.method].append(Call(call.method, call.fields, call.files, call.at, made))
        return result

    async def _get_updates(self, fields: dict[str, str]) -> list[Json]:
        if self.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active")
        offset, seconds = int(fields.get("offset", 0)), float(fields.get("timeout", 0))
        self.confirmed = max(self.confirmed, offset - 1)
        self.leaving = self.leaving or not seconds
        self._allowed = set(json.loads(fields.get("allowed_updates", "[]"))) or self._allowed
        self._poller = mine = object()
        await self.note()
        self.updates[:] = [each for each in self.updates if each["update_id"] >= offset]
        if seconds:
            try:
                await self.until(lambda: self._waiting() or self._poller is not mine, seconds)
            except TimeoutError:
                return []
        if self._poller is not mine:
            raise Refusal(409, "Conflict: terminated by other getUpdates request")
        return self._waiting()[: int(fields.get("limit", 100))]

    def _waiting(self) -> list[Json]:
        """Telegram keeps only updates of kinds that were asked for."""
        if self._allowed:
            self.updates[:] = [update for update in self.updates if self._allowed & update.keys()]
        return self.updates

    async def _act_by_hand(self, request: web.Request) -> web.Response:
        deeds = {"say": self.say, "show": self.show, "edit": self.edit, "press": self.press, "react": self.react}
        deed: Any = {**deeds, "act": self.act}[request.match_info["deed"]]
        return web.json_response(await deed(**await request.json()))

    async def _tell_sent(self, _: web.Request) -> web.Response:
        told = [
            {"chat_id": call.chat_id, "text": call.text, "message_id": call.message_id, "at": call.at}
            for call in self.sent
        ]
        return web.json_response(told)


async def _read(request: web.Request) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    fields, files = {}, {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = (value.filename, value.file.read().decode())
        else:
            fields[name] = str(value)
    return fields, files


def _ok(result: object) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _error(refusal: Refusal) -> web.Response:
    body: Json = {"ok": False, "error_code": refusal.status, "description": refusal.description}
    if refusal.parameters:
        body["parameters"] = refusal.parameters
    return web.json_response(body, status=refusal.status)


def _broken(request: web.Request) -> web.Response:
    drop_connection(request)
    return _ok(False)  # nobody hears it


async def _serve_alone() -> None:
    async with TelegramStandIn() as telegram:
        sys.stdout.write(f"{telegram.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_alone())
