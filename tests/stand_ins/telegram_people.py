"""What people do on the Telegram stand-in, as the updates that the bot gets of it."""

from __future__ import annotations

import itertools
import re
from typing import Any

Json = dict[str, Any]

BOT: Json = {"id": 4242, "is_bot": True, "first_name": "말벗", "username": "malbeot_bot"}
OPENED = 1_760_000_000


class TelegramPeople:
    """Makes updates. A positive chat id is a private chat with that person, a negative one a group.

    Each method returns the id of the message it is about, but `act`, which returns the update's. `fields` are put over
    those of the message, so that anything Telegram can send can be sent (`tests/adapters` has examples).
    """

    def __init__(self) -> None:
        self.updates: list[Json] = []
        self.messages: dict[tuple[int, int], Json] = {}
        """By chat and id, as they are now; deleted ones are not there."""
        self._message_ids = itertools.count(1)
        self._update_ids = itertools.count(1001)

    async def note(self) -> None:
        """Wake whoever waits for a change."""
        raise NotImplementedError

    async def act(self, kind: str, content: Json) -> int:
        """An update of any kind, under its name in the Bot API."""
        number = next(self._update_ids)
        self.updates.append({"update_id": number, kind: content})
        await self.note()
        return number

    async def say(self, chat_id: int, text: str, **fields: Any) -> int:
        """A text: `user=` says who in a group, `topic=` in which topic; /commands and @mentions are marked."""
        return await self._post(chat_id, {"text": text, "entities": entities_of(text)}, fields)

    async def show(self, chat_id: int, what: str = "sticker", caption: str | None = None, **fields: Any) -> int:
        """Something that is no text: a sticker, photo, voice, video, document or location."""
        content: Json = {what: _MEDIA[what]}
        if caption is not None:
            content |= {"caption": caption, "caption_entities": entities_of(caption)}
        return await self._post(chat_id, content, fields)

    async def edit(self, chat_id: int, message_id: int, text: str) -> int:
        """The author changes a text."""
        message = {**self.messages[chat_id, message_id], "text": text, "entities": entities_of(text)}
        self.messages[chat_id, message_id] = message | {"edit_date": OPENED + message_id + 60}
        await self.act("edited_message", self.messages[chat_id, message_id])
        return message_id

    async def press(self, chat_id: int, message_id: int, data: str, user: int | None = None) -> int:
        """Press the button with `data`, or the one that `data` is written on, under a message of the bot's."""
        message = self.messages[chat_id, message_id]
        buttons = [button for row in message.get("reply_markup", {}).get("inline_keyboard", []) for button in row]
        data = next((button["callback_data"] for button in buttons if button["text"] == data), data)
        number = next(self._message_ids)
        person = person_of(user or abs(chat_id))
        query = {"id": f"query-{number}", "from": person, "message": message, "chat_instance": "1", "data": data}
        await self.act("callback_query", query)
        return message_id

    async def react(self, chat_id: int, message_id: int, emoji: str, user: int | None = None) -> int:
        """Put a reaction on a message."""
        content = {
            "chat": chat_of(chat_id),
            "message_id": message_id,
            "user": person_of(user or abs(chat_id)),
            "date": OPENED,
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": emoji}],
        }
        await self.act("message_reaction", content)
        return message_id

    async def become(self, chat_id: int, status: str) -> None:
        """The bot's standing in a chat changes: "member", "kicked", "left"."""
        member = {"user": BOT, "status": status} | ({"until_date": 0} if status == "kicked" else {})
        before = {"user": BOT, "status": "member"}
        content = {
            "chat": chat_of(chat_id),
            "from": person_of(abs(chat_id)),
            "date": OPENED,
            "old_chat_member": before,
            "new_chat_member": member,
        }
        await self.act("my_chat_member", content)

    async def _post(self, chat_id: int, content: Json, fields: Json) -> int:
        user, topic = fields.pop("user", abs(chat_id)), fields.pop("topic", None)
        number = next(self._message_ids)
        message = {
            "message_id": number,
            "date": OPENED + number,
            "chat": chat_of(chat_id, topic),
            "from": person_of(user),
            **content,
            **({} if topic is None else {"message_thread_id": topic, "is_topic_message": True}),
            **fields,
        }
        self.messages[chat_id, number] = message
        await self.act("message", message)
        return number


def chat_of(chat_id: int, topic: int | None = None) -> Json:
    """A private chat or a group."""
    if chat_id > 0:
        return {"id": chat_id, "type": "private", "first_name": "민지"}
    return {"id": chat_id, "type": "supergroup", "title": "모임"} | ({} if topic is None else {"is_forum": True})


def person_of(user_id: int) -> Json:
    """Somebody who is no bot."""
    return {"id": user_id, "is_bot": False, "first_name": "민지"}


def entity(text: str, part: str, kind: str, **fields: Any) -> Json:
    """An entity of `text` that covers `part`; offsets are in UTF-16 units, as Telegram's."""
    return {"type": kind, "offset": units(text[: text.index(part)]), "length": units(part), **fields}


def entities_of(text: str) -> list[Json]:
    """What Telegram marks by itself: words that begin with / or @. ASCII ends them, so that a particle may follow."""
    marked = []
    for word in text.split():
        name = re.match(r"[/@][A-Za-z0-9_@]+", word)
        if name is not None:
            marked.append(entity(text, name[0], "bot_command" if name[0][0] == "/" else "mention"))
    return marked


def units(text: str) -> int:
    """UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


_FILE: Json = {"file_id": "1", "file_unique_id": "1"}
_MEDIA: dict[str, Any] = {
    "sticker": {**_FILE, "type": "regular", "width": 1, "height": 1, "is_animated": False, "is_video": False},
    "photo": [{**_FILE, "width": 1, "height": 1}],
    "voice": {**_FILE, "duration": 1},
    "video": {**_FILE, "width": 1, "height": 1, "duration": 1},
    "document": {**_FILE, "file_name": "글.txt"},
    "location": {"latitude": 37.5, "longitude": 127.0},
}
