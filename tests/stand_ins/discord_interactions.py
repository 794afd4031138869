"""Commands, presses and forms of the local Discord: how they begin, are acknowledged and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from tests.stand_ins.discord_data import (
    BOT_ID,
    FOREIGN,
    FOREIGN_CHANNEL,
    FOREIGN_CHANNEL_ID,
    FOREIGN_GUILD_ID,
    GUILD_ID,
    MANAGE_CHANNELS,
    PAIR_CHANNEL_ID,
    Json,
    Refusal,
    answer,
    member,
    user,
)
from tests.stand_ins.discord_world import EPHEMERAL, World, checked

ACKNOWLEDGE_SECONDS = 3.0
FOLLOW_UP_LIMIT = 5
# Kinds of interactions, and kinds of answers to them.
COMMAND, COMPONENT, FORM = 2, 3, 5
MESSAGE, THINKING, SILENT, OPEN_FORM = 4, 5, 6, 9


@dataclass(slots=True)
class Interaction:
    """One command, press or form, and what came of it.

    `acknowledged` is the kind of the answer that came within three seconds, `original` the message it was answered
    with (in the end), `follow_ups` further ones, `form` a form that was opened.
    """

    id: int
    token: str
    channel_id: int
    user_id: int
    foreign: bool
    began: float
    pressed: Json | None = None
    acknowledged: int | None = None
    ephemeral: bool = False
    loading: bool = False
    original: Json | None = None
    follow_ups: list[Json] = field(default_factory=list)
    form: Json | None = None
    expired: bool = False

    @property
    def texts(self) -> list[str]:
        """What is shown as the answer."""
        first = [] if self.original is None or self.loading else [self.original]
        return [str(known["content"]) for known in [*first, *self.follow_ups]]

    @property
    def files(self) -> list[str]:
        """The ids of the files in the answer; their contents are in the world's `files`."""
        shown = [*([self.original] if self.original else []), *self.follow_ups]
        return [file["id"] for known in shown for file in known["attachments"]]


class Interactions:
    """Begins interactions, and serves the routes on which the bot answers them."""

    def __init__(self, world: World, dispatch: Callable[[str, Json], Awaitable[None]]) -> None:
        self.all: list[Interaction] = []
        self._world = world
        self._dispatch = dispatch

    def routes(self) -> list[web.RouteDef]:
        """What the bot calls."""
        hook = "/api/v10/webhooks/{application}/{token}"
        return [
            web.post("/api/v10/interactions/{interaction}/{token}/callback", self._callback, name="callback"),
            web.post(hook, self._follow_up, name="follow_up"),
            web.patch(hook + "/messages/{message}", self._change, name="edit_answer"),
            web.delete(hook + "/messages/{message}", self._delete, name="delete_answer"),
        ]

    async def begin(
        self, kind: int, data: Json, channel_id: int, user_id: int, manager: bool, pressed: Json | None = None
    ) -> Interaction:
        """A person does something."""
        number = self._world.ids.next()
        foreign = channel_id in FOREIGN
        began = Interaction(
            number, f"token-{number}", channel_id, user_id, foreign, asyncio.get_running_loop().time(), pressed
        )
        self.all.append(began)
        payload: Json = {
            "id": str(number), "application_id": str(BOT_ID), "type": kind, "token": began.token, "version": 1,
            "data": data, "locale": "ko", "entitlements": [], "app_permissions": "0", "attachment_size_limit": 10 << 20,
            **self._surroundings(channel_id, user_id, manager),
        }  # fmt: skip
        if pressed is not None:
            payload["message"] = pressed
        await self._dispatch("INTERACTION_CREATE", payload)
        return began

    def _surroundings(self, channel_id: int, user_id: int, manager: bool) -> Json:
        """Where, and by whom."""
        person = user(user_id)
        permissions = str(MANAGE_CHANNELS if manager else 0)
        in_server = {"member": {**member(manager), "user": person, "permissions": permissions}, "context": 0}
        owners = {"1": str(user_id)}
        if channel_id == PAIR_CHANNEL_ID:
            channel = {"id": str(channel_id), "type": 1, "recipients": [person, user(8)]}
            return {"user": person, "channel": channel, "context": 2, "authorizing_integration_owners": owners}
        if channel_id == FOREIGN_CHANNEL_ID:
            guild = {"id": str(FOREIGN_GUILD_ID), "features": [], "locale": "ko"}
            return {
                **in_server, "guild_id": guild["id"], "guild": guild, "channel": FOREIGN_CHANNEL,
                "authorizing_integration_owners": owners,
            }  # fmt: skip
        channel = self._world.channel(channel_id)
        if channel["type"] == 1:
            return {"user": person, "channel": channel, "context": 1, "authorizing_integration_owners": {"0": "0"}}
        owners = {"0": str(GUILD_ID)}
        return {
            **in_server, "guild_id": str(GUILD_ID), "channel": channel, "authorizing_integration_owners": owners
        }  # fmt: skip

    async def _callback(self, request: web.Request) -> web.Response:
        one = self._find(request)
        if asyncio.get_running_loop().time() - one.began > ACKNOWLEDGE_SECONDS:
            raise Refusal(404, 10062, "Unknown interaction")
        if one.acknowledged is not None:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        body = await request.json()
        data = body.get("data") or {}
        one.acknowledged = body["type"]
        one.ephemeral = bool(data.get("flags", 0) & EPHEMERAL)
        if one.acknowledged == OPEN_FORM:
            one.form = data
        elif one.acknowledged == SILENT:
            one.original = one.pressed
        else:
            checked(data)
            one.loading = one.acknowledged == THINKING
            one.original = self._message(one, data, {})
        told: Json = {"id": str(one.id), "type": 2, "response_message_ephemeral": one.ephemeral}
        if one.original is not None:
            told |= {"response_message_id": one.original["id"], "response_message_loading": one.loading}
        return answer({"interaction": told})

    async def _follow_up(self, request: web.Request) -> web.Response:
        one = self._open(request)
        body, files = await read_body(request)
        checked(body)
        if one.loading:
            # Taken for the answer that is awaited.
            return self._changed(one, body, files)
        if one.foreign and len(one.follow_ups) == FOLLOW_UP_LIMIT:
            raise Refusal(400, 40094, "Maximum number of follow-up messages reached")
        one.follow_ups.append(self._message(one, body, files))
        return answer(one.follow_ups[-1])

    async def _change(self, request: web.Request) -> web.Response:
        one = self._open(request)
        return self._changed(one, *await read_body(request))

    def _changed(self, one: Interaction, body: Json, files: dict[str, str]) -> web.Response:
        if one.original is None:
            raise Refusal(404, 10008, "Unknown Message")
        self._world.change(one.original, body, files)
        one.loading = False
        return answer(one.original)

    async def _delete(self, request: web.Request) -> web.Response:
        one = self._open(request)
        if one.original is None:
            raise Refusal(404, 10008, "Unknown Message")
        if not one.ephemeral:
            self._world.delete(one.channel_id, int(one.original["id"]))
        one.original, one.loading = None, False
        return web.Response(status=204)

    def _message(self, one: Interaction, body: Json, files: dict[str, str]) -> Json:
        ephemeral = bool(body.get("flags", 0) & EPHEMERAL)
        fields: dict[str, Any] = {"type": 20, "flags": EPHEMERAL if ephemeral else 0}
        known = self._world.made(one.channel_id, body, files, **fields)
        if not ephemeral:
            self._world.add(known)
        return known

    def _find(self, request: web.Request) -> Interaction:
        token = request.match_info["token"]
        return next(one for one in self.all if one.token == token)

    def _open(self, request: web.Request) -> Interaction:
        one = self._find(request)
        if one.acknowledged is None:
            raise Refusal(404, 10015, "Unknown Webhook")
        if one.expired:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        return one


async def read_body(request: web.Request) -> tuple[Json, dict[str, str]]:
    """The JSON of a request, and its files' contents by their names."""
    if not request.content_type.startswith("multipart/"):
        return await request.json(), {}
    body: Json = {}
    files: dict[str, str] = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        if part.name == "payload_json":
            body = await part.json() or {}
        else:
            files[part.filename or ""] = await part.text()
    return body, files
