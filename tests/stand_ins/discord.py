"""Discord's REST API and gateway, version 10, in one local service that the real library talks to.

Its state (messages, nonces, history, commands, sessions) is its own: bots come and go, also by `kill -9`. A benchmark
that kills bots keeps a stand-in in its own process and starts each bot as another, with the environment
`DISCORD_TOKEN=TOKEN`, `DISCORD_API_URL=stand_in.api_url` and `DISCORD_GATEWAY_URL=stand_in.gateway_url`:

    async with DiscordStandIn() as discord:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bot", "run", env=...)
        await discord.say(11, "안녕")                    # a direct message of person 11; waits for the bot
        process.kill()
        await discord.say(11, "거기 있어?", wait=False)    # for the next bot to find in the history
        ...
        discord.answers(11)                              # what channel 11 shows of the bot, in the order of creation

A bot that has never stored a message of a channel cannot know that it missed one there: let each conversation be
answered once before the first kill. `until(condition)` waits for what the service sees, never for time to pass.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.stand_ins import StandIn
from tests.stand_ins.discord_data import (
    APPLICATION,
    BOT,
    BOT_ID,
    CHANNEL_ID,
    FOREIGN_CHANNEL_ID,
    GUILD_ID,
    PAIR_CHANNEL_ID,
    THREAD_ID,
    TOKEN,
    Json,
    Refusal,
    answer,
    member,
    message,
    now,
    user,
    without_content,
)
from tests.stand_ins.discord_faults import Faults
from tests.stand_ins.discord_gateway import Gateway
from tests.stand_ins.discord_interactions import COMMAND, COMPONENT, FORM, Interaction, Interactions, read_body
from tests.stand_ins.discord_world import Sent, World

__all__ = [
    "BOT",
    "BOT_ID",
    "CHANNEL_ID",
    "FOREIGN_CHANNEL_ID",
    "GUILD_ID",
    "PAIR_CHANNEL_ID",
    "THREAD_ID",
    "TOKEN",
    "DiscordStandIn",
]

_API = "/api/v10"
_IN_SERVER = (CHANNEL_ID, THREAD_ID)


class DiscordStandIn(StandIn):
    """`world` holds what the bot did, `gateway` and `faults` what goes wrong, `interactions` commands and presses.

    Channels are CHANNEL_ID and THREAD_ID in the server, and FOREIGN_CHANNEL_ID and PAIR_CHANNEL_ID (of another server,
    of two people) for commands only: the bot is no member there. Any other number is the direct conversation with the
    person of that number. `shards` is how many connections are recommended.

    Routes for `faults.plan`: login, create, edit, delete, typing, history, channel, open_dm, callback, follow_up,
    edit_answer, delete_answer, commands, sync.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.faults = Faults(self.note)
        self.gateway = Gateway(lambda: self.gateway_url, self.note)
        self.interactions = Interactions(self.world, self._dispatch)
        self.shards = 1
        # Every answer wakes whoever waits, so that conditions see what it has changed.
        self.app.middlewares.extend([self._noted, self.faults.middleware])
        self.app.router.add_get("/gateway", self.gateway.handle)
        self.app.add_routes([*self._routes(), *self.interactions.routes()])

    def _routes(self) -> list[web.RouteDef]:
        channel = _API + "/channels/{channel}"
        commands = f"{_API}/applications/{BOT_ID}/commands"
        return [
            web.get(_API + "/users/@me", self._me, name="login"),
            web.get(_API + "/oauth2/applications/@me", self._application, name="application"),
            web.get(_API + "/gateway/bot", self._recommended, name="gateway_bot"),
            web.post(_API + "/users/@me/channels", self._open_dm, name="open_dm"),
            web.get(channel, self._channel, name="channel"),
            web.get(channel + "/messages", self._history, name="history"),
            web.post(channel + "/messages", self._create, name="create"),
            web.patch(channel + "/messages/{message}", self._edit, name="edit"),
            web.delete(channel + "/messages/{message}", self._delete, name="delete"),
            web.post(channel + "/typing", self._type, name="typing"),
            web.get(commands, self._commands, name="commands"),
            web.put(commands, self._sync, name="sync"),
        ]

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{_API}"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    @property
    def sent(self) -> list[Sent]:
        """The messages that the bot created, answers to interactions left out."""
        return self.world.sent

    def answers(self, channel_id: int) -> list[str]:
        """What a channel shows of the bot now, in the order of creation."""
        gone = self.world.deleted
        return [sent.shown for sent in self.sent if sent.channel_id == channel_id and sent.id not in gone]

    async def say(self, channel_id: int, text: str, wait: bool = True, **fields: Any) -> int:
        """A direct message of the person `channel_id`, or what `fields` say; returns its id.

        Waits for the bot to be there; without `wait`, a bot that has no session finds it in the history only.
        """
        if wait:
            await self.until(lambda: self.gateway.has_session)
        about: Json = {name: fields.pop(name) for name in ("guild_id", "member") if name in fields}
        author = fields.pop("author", None) or user(channel_id)
        known = message(self.world.ids.next(), channel_id, author, text, **fields)
        self.world.add(known)
        await self._dispatch("MESSAGE_CREATE", {**self._seen(known), **about})
        return int(known["id"])

    async def say_in_server(
        self, text: str, *, user_id: int = 7, name: str = "지우", channel_id: int = CHANNEL_ID, to_bot: bool = True,
        manager: bool = False, wait: bool = True, **fields: Any,
    ) -> int:  # fmt: skip
        """A message in the server, by default one that mentions the bot; returns its id."""
        told = {"mentions": [BOT] if to_bot else [], "author": user(user_id, name), **fields}
        shown = f"<@{BOT_ID}> {text}" if to_bot else text
        return await self.say(
            channel_id, shown, wait, guild_id=str(GUILD_ID), member=member(manager), **told
        )  # fmt: skip

    async def change(self, channel_id: int, message_id: int, text: str) -> None:
        """The author edits a message."""
        known = self.world.find(channel_id, message_id)
        known |= {"content": text, "edited_timestamp": now()}
        await self._tell_change(known)

    async def unfurl(self, channel_id: int, message_id: int) -> None:
        """Discord adds the preview of a link; nobody has edited the message."""
        known = self.world.find(channel_id, message_id)
        known["embeds"] = [{"type": "link", "url": "https://example.org"}]
        await self._tell_change(known)

    async def react(self, channel_id: int, message_id: int, emoji: str, *, user_id: int = 7, bot: bool = False) -> None:
        """A reaction to a message."""
        data: Json = {
            "user_id": str(user_id), "channel_id": str(channel_id), "message_id": str(message_id), "type": 0,
            "emoji": {"id": None, "name": emoji}, "burst": False,
            "message_author_id": self.world.find(channel_id, message_id)["author"]["id"],
        }  # fmt: skip
        if channel_id in _IN_SERVER:
            data |= {"guild_id": str(GUILD_ID), "member": {**member(), "user": {**user(user_id), "bot": bot}}}
        await self._dispatch("MESSAGE_REACTION_ADD", data)

    async def call(
        self, channel_id: int, name: str, argument: str | None = None, *, user_id: int = 7, manager: bool = False
    ) -> Interaction:
        """A slash command, as the bot has registered it."""
        await self.until(lambda: self.gateway.is_connected)
        data: Json = {"id": "1", "name": name, "type": 1}
        if argument is not None:
            data["options"] = [{"name": "text", "type": 3, "value": argument}]
        return await self.interactions.begin(COMMAND, data, channel_id, user_id, manager)

    async def press(
        self, shown: Json, custom_id: str, *, user_id: int = 7, manager: bool = False
    ) -> Interaction:  # fmt: skip
        """A press of the button `custom_id` on a message (`Sent.message`, `Interaction.original`)."""
        await self.until(lambda: self.gateway.is_connected)
        data = {"custom_id": custom_id, "component_type": 2}
        return await self.interactions.begin(COMPONENT, data, int(shown["channel_id"]), user_id, manager, shown)

    async def use_menu(self, name: str, shown: Json, *, user_id: int = 7) -> Interaction:
        """An entry of a message's own menu."""
        await self.until(lambda: self.gateway.is_connected)
        data = {"id": "2", "name": name, "type": 3, "target_id": shown["id"]}
        data["resolved"] = {"messages": {shown["id"]: shown}}
        return await self.interactions.begin(COMMAND, data, int(shown["channel_id"]), user_id, False)

    async def fill_in(self, opened: Interaction, text: str) -> Interaction:
        """The form that an interaction opened comes back with `text` in its field."""
        await self.until(lambda: self.gateway.is_connected)
        assert opened.form is not None
        rows = opened.form["components"]
        filled = [{"type": 1, "components": [{**rows[0]["components"][0], "value": text}]}]
        data = {"custom_id": opened.form["custom_id"], "components": filled}
        return await self.interactions.begin(FORM, data, opened.channel_id, opened.user_id, False)

    async def _tell_change(self, known: Json) -> None:
        await self._dispatch("MESSAGE_UPDATE", {**self._seen(known), **_about(known)})

    def _seen(self, known: Json) -> Json:
        return without_content(known) if int(known["channel_id"]) in _IN_SERVER else known

    async def _dispatch(self, event: str, data: Json) -> None:
        await self.gateway.dispatch(event, data)
        await self.note()

    @web.middleware
    async def _noted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
            return response
        finally:
            await self.note()

    async def _me(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bot {TOKEN}":
            raise Refusal(401, 0, "401: Unauthorized")
        return answer(BOT)

    async def _application(self, _: web.Request) -> web.Response:
        return answer(APPLICATION)

    async def _recommended(self, _: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return answer({"url": "wss://gateway.invalid/", "shards": self.shards, "session_start_limit": limit})

    async def _open_dm(self, request: web.Request) -> web.Response:
        return answer(self.world.channel(int((await request.json())["recipient_id"])))

    async def _channel(self, request: web.Request) -> web.Response:
        return answer(self.world.channel(_number(request, "channel")))

    async def _history(self, request: web.Request) -> web.Response:
        after, limit = int(request.query["after"]), int(request.query["limit"])
        return answer([self._seen(known) for known in self.world.history(_number(request, "channel"), after, limit)])

    async def _create(self, request: web.Request) -> web.Response:
        before = len(self.sent)
        known = self.world.create(_number(request, "channel"), *await read_body(request))
        if len(self.sent) > before:
            # A bot hears itself.
            await self._dispatch("MESSAGE_CREATE", {**known, **_about(known)})
        return answer(known)

    async def _edit(self, request: web.Request) -> web.Response:
        known = self.world.find(_number(request, "channel"), _number(request, "message"))
        self.world.change(known, *await read_body(request))
        await self._tell_change(known)
        return answer(known)

    async def _delete(self, request: web.Request) -> web.Response:
        self.world.delete(_number(request, "channel"), _number(request, "message"))
        return web.Response(status=204)

    async def _type(self, request: web.Request) -> web.Response:
        self.world.typing.append(_number(request, "channel"))
        return web.Response(status=204)

    async def _commands(self, request: web.Request) -> web.Response:
        if request.query.get("with_localizations") == "true":
            return answer(self.world.commands)
        hidden = ("name_localizations", "description_localizations")
        shown = [{name: value for name, value in one.items() if name not in hidden} for one in self.world.commands]
        return answer(shown)

    async def _sync(self, request: web.Request) -> web.Response:
        about = {"application_id": str(BOT_ID), "version": "1"}
        self.world.commands = [{**one, "id": str(self.world.ids.next()), **about} for one in await request.json()]
        self.world.synced += 1
        return answer(self.world.commands)


def _about(known: Json) -> Json:
    """What events tell besides the message."""
    return {"guild_id": str(GUILD_ID), "member": member()} if int(known["channel_id"]) in _IN_SERVER else {}


def _number(request: web.Request, name: str) -> int:
    return int(request.match_info[name])
