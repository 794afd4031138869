"""What the local Discord is made of: a bot, a server with a channel and a thread, and how things look on the wire."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

TOKEN = "stand-in.discord.token"
BOT_ID, GUILD_ID, CHANNEL_ID, THREAD_ID = 4242, 7000, 7001, 7002
MANAGER_ROLE_ID = 7100
# Where only a person's own installation reaches: another server, and a conversation of two people.
FOREIGN_GUILD_ID, FOREIGN_CHANNEL_ID, PAIR_CHANNEL_ID = 7900, 7901, 7902
FOREIGN = (FOREIGN_CHANNEL_ID, PAIR_CHANNEL_ID)
MANAGE_CHANNELS = 1 << 4
# To see a channel, write there and read what was written.
_EVERYBODY = 1 << 10 | 1 << 11 | 1 << 16

Json = dict[str, Any]

BOT: Json = {"id": str(BOT_ID), "username": "말벗", "discriminator": "0", "avatar": None, "bot": True}
APPLICATION: Json = {
    "id": str(BOT_ID), "name": "말벗", "description": "", "icon": None, "bot_public": True,
    "bot_require_code_grant": False, "owner": BOT, "verify_key": "", "flags": 0,
}  # fmt: skip
CHANNEL: Json = {
    "id": str(CHANNEL_ID), "type": 0, "name": "수다", "position": 0, "permission_overwrites": [],
}  # fmt: skip
THREAD: Json = {
    "id": str(THREAD_ID), "type": 11, "name": "실", "parent_id": str(CHANNEL_ID), "owner_id": "1",
    "guild_id": str(GUILD_ID), "message_count": 1, "member_count": 1,
    "thread_metadata": {"archived": False, "auto_archive_duration": 60,
                        "archive_timestamp": "2026-01-01T00:00:00+00:00", "locked": False},
}  # fmt: skip
FOREIGN_CHANNEL: Json = {
    "id": str(FOREIGN_CHANNEL_ID), "type": 0, "name": "남의 집", "position": 0, "permission_overwrites": [],
    "guild_id": str(FOREIGN_GUILD_ID),
}  # fmt: skip


def _role(role_id: int, permissions: int, position: int) -> Json:
    return {
        "id": str(role_id), "name": "@everyone", "permissions": str(permissions), "position": position, "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False, "managed": False, "mentionable": False,
    }  # fmt: skip


GUILD: Json = {
    "id": str(GUILD_ID), "name": "서버", "owner_id": "1", "unavailable": False, "member_count": 2, "members": [],
    "roles": [_role(GUILD_ID, _EVERYBODY, 0), _role(MANAGER_ROLE_ID, MANAGE_CHANNELS, 1)],
    "channels": [CHANNEL], "threads": [THREAD],
    "emojis": [], "stickers": [], "features": [], "presences": [], "voice_states": [], "stage_instances": [],
    "afk_timeout": 0, "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0,
    "mfa_level": 0, "nsfw_level": 0, "premium_tier": 0, "system_channel_flags": 0, "preferred_locale": "ko",
    "premium_progress_bar_enabled": False, "guild_scheduled_events": [], "soundboard_sounds": [],
}  # fmt: skip

_DISCORD_EPOCH_MS = 1_420_070_400_000


class Ids:
    """Snowflakes: they carry the time, and each is larger than the one before."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """A new id."""
        self._last = max(self._last + 1, (time.time_ns() // 1_000_000 - _DISCORD_EPOCH_MS) << 22)
        return self._last


class Refusal(Exception):
    """An answer with an error of Discord's."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def user(user_id: int, name: str = "민지") -> Json:
    """A person."""
    return {"id": str(user_id), "username": "person", "global_name": name, "discriminator": "0", "avatar": None}


def member(manager: bool = False) -> Json:
    """A person's place in the server, as it goes with messages."""
    roles = [str(MANAGER_ROLE_ID)] if manager else []
    return {"roles": roles, "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}


def message(message_id: int, channel_id: int, author: Json, text: str, **fields: Any) -> Json:
    """A message as the REST API shows it."""
    return {
        "id": str(message_id), "channel_id": str(channel_id), "author": author, "content": text, "type": 0,
        "timestamp": now(), "edited_timestamp": None, "tts": False, "mention_everyone": False, "mentions": [],
        "mention_roles": [], "attachments": [], "embeds": [], "pinned": False, "flags": 0, "components": [],
        **fields,
    }  # fmt: skip


def attachment(number: int, name: str, size: int) -> Json:
    """A file of a message."""
    url = f"https://files.example/{number}/{name}"
    return {"id": str(number), "filename": name, "size": size, "url": url, "proxy_url": url}


def without_content(known: Json) -> Json:
    """What a bot without the Message Content intent sees of talk that does not concern it."""
    concerns = known["author"]["id"] == str(BOT_ID) or any(one["id"] == str(BOT_ID) for one in known["mentions"])
    return known if concerns else {**known, "content": "", "attachments": [], "embeds": [], "components": []}


def now() -> str:
    """The time as Discord writes it."""
    return datetime.now(UTC).isoformat()


def answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer. The library compares the content type with exactly this, without a charset."""
    body = json.dumps(value).encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})
