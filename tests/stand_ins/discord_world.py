"""What the local Discord remembers: messages, nonces and commands. It outlives every connection of the bot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.discord_data import (
    BOT,
    BOT_ID,
    CHANNEL,
    CHANNEL_ID,
    FOREIGN,
    GUILD_ID,
    THREAD,
    THREAD_ID,
    Ids,
    Json,
    Refusal,
    attachment,
    message,
    now,
    user,
)

EPHEMERAL = 1 << 6
# For so long Discord knows a nonce: "the past few minutes".
NONCE_SECONDS = 180.0
CONTENT_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Sent:
    """A message the bot has created: where, with which body, when; `message` is what it looks like now."""

    channel_id: int
    body: Json
    at: float
    message: Json

    @property
    def text(self) -> str:
        """The text it was created with."""
        return str(self.body.get("content") or "")

    @property
    def shown(self) -> str:
        """The text it has now."""
        return str(self.message["content"])

    @property
    def id(self) -> int:
        return int(self.message["id"])

    @property
    def buttons(self) -> list[str]:
        """The custom ids of its buttons."""
        return [button["custom_id"] for row in self.message["components"] for button in row["components"]]


@dataclass(frozen=True, slots=True)
class Edited:
    """One edit of a message by the bot."""

    message_id: int
    text: str
    at: float


class World:
    """`sent`, `edited`, `deleted`, `typing`: what the bot did, in order. `files`: contents by attachment id.

    `closed_dms` are persons who take no direct messages, `gone` channels that are no more.
    """

    def __init__(self) -> None:
        self.ids = Ids()
        self.sent: list[Sent] = []
        self.edited: list[Edited] = []
        self.deleted: list[int] = []
        self.typing: list[int] = []
        self.files: dict[str, str] = {}
        self.commands: list[Json] = []
        self.synced = 0
        self.closed_dms: set[int] = set()
        self.gone: set[int] = set()
        self._messages: dict[int, dict[int, Json]] = {}
        self._nonces: dict[tuple[int, str], tuple[int, float]] = {}

    def add(self, known: Json) -> None:
        """A message is there."""
        self._messages.setdefault(int(known["channel_id"]), {})[int(known["id"])] = known

    def find(self, channel_id: int, message_id: int) -> Json:
        """A message. Raises Refusal."""
        known = self._messages.get(channel_id, {}).get(message_id)
        if known is None:
            raise Refusal(404, 10008, "Unknown Message")
        return known

    def find_anywhere(self, message_id: int) -> Json:
        """A message of which only the id is known."""
        return next(messages[message_id] for messages in self._messages.values() if message_id in messages)

    def history(self, channel_id: int, after: int, limit: int) -> list[Json]:
        """The `limit` messages next after a message, newest first as Discord gives them."""
        self._check(channel_id)
        later = [known for number, known in self._messages.get(channel_id, {}).items() if number > after]
        return later[:limit][::-1]

    def channel(self, channel_id: int) -> Json:
        """A channel; what is not of the server is a direct conversation with the person of that number."""
        self._check(channel_id)
        if channel_id == CHANNEL_ID:
            return {**CHANNEL, "guild_id": str(GUILD_ID)}
        if channel_id == THREAD_ID:
            return THREAD
        return {"id": str(channel_id), "type": 1, "recipients": [user(channel_id)], "last_message_id": None}

    def create(self, channel_id: int, body: Json, files: dict[str, str]) -> Json:
        """The bot sends; a nonce that was seen returns the message it belongs to."""
        self._check(channel_id)
        if channel_id in self.closed_dms:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        checked(body)
        at = asyncio.get_running_loop().time()
        key = channel_id, str(body.get("nonce"))
        if body.get("enforce_nonce") and key in self._nonces and at - self._nonces[key][1] < NONCE_SECONDS:
            return self.find(channel_id, self._nonces[key][0])
        known = self.made(channel_id, body, files)
        self.add(known)
        if "nonce" in body:
            self._nonces[key] = int(known["id"]), at
        self.sent.append(Sent(channel_id, body, at, known))
        return {**known, "nonce": body.get("nonce")}

    def made(self, channel_id: int, body: Json, files: dict[str, str], **fields: Any) -> Json:
        """A message of the bot that is not anywhere yet."""
        reference = body.get("message_reference")
        if reference is not None:
            fields |= {"type": 19, "message_reference": reference}
        return message(
            self.ids.next(), channel_id, BOT, body.get("content") or "",
            components=body.get("components") or [], attachments=self._attachments(files), **fields,
        )  # fmt: skip

    def change(self, known: Json, body: Json, files: dict[str, str]) -> None:
        """The bot edits a message of its own. Raises Refusal."""
        checked(body)
        if known["author"]["id"] != str(BOT_ID):
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        known["content"] = body.get("content", known["content"]) or ""
        known["components"] = body.get("components", known["components"]) or []
        known["edited_timestamp"] = now()
        if "attachments" in body:
            known["attachments"] = self._attachments(files)
        self.edited.append(Edited(int(known["id"]), known["content"], asyncio.get_running_loop().time()))

    def delete(self, channel_id: int, message_id: int) -> None:
        """A message goes. Raises Refusal."""
        self.find(channel_id, message_id)
        del self._messages[channel_id][message_id]
        self.deleted.append(message_id)

    def _attachments(self, files: dict[str, str]) -> list[Json]:
        attachments = []
        for name, content in files.items():
            number = self.ids.next()
            self.files[str(number)] = content
            attachments.append(attachment(number, name, len(content)))
        return attachments

    def _check(self, channel_id: int) -> None:
        if channel_id in self.gone:
            raise Refusal(404, 10003, "Unknown Channel")
        if channel_id in FOREIGN:
            raise Refusal(403, 50001, "Missing Access")


def checked(body: Json) -> None:
    """Refuse what Discord refuses."""
    if len(body.get("content") or "") > CONTENT_LIMIT or len(str(body.get("nonce", ""))) > 25:
        raise Refusal(400, 50035, "Invalid Form Body")
    ids = [button["custom_id"] for row in body.get("components") or [] for button in row["components"]]
    if len(set(ids)) < len(ids) or any(len(row["components"]) > 5 for row in body.get("components") or []):
        raise Refusal(400, 50035, "Invalid Form Body")
