"""The Bot API's methods that show something, with the rules that Telegram has for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.stand_ins.telegram_people import BOT, OPENED, Json, chat_of, units

_TEXT_LIMIT, _BUTTON_LIMIT, _COMMANDS = 4096, 64, 100


class Refusal(Exception):
    """The error that Telegram answers with."""

    def __init__(self, status: int, description: str, parameters: dict[str, int] | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


class Methods:
    """`blocked` are people who blocked the bot, `gone` chats that are no more, `migrated` groups and what they became.

    `uneditable` are messages, by chat and id, that the bot may not change any more.
    """

    def __init__(self, messages: dict[tuple[int, int], Json], message_ids: Iterator[int]) -> None:
        self.blocked: set[int] = set()
        self.gone: set[int] = set()
        self.migrated: dict[int, int] = {}
        self.uneditable: set[tuple[int, int]] = set()
        self.commands: dict[str, list[Json]] = {}
        """The menu by language, "" for all others."""
        self._messages = messages
        self._message_ids = message_ids
        self._edits = 0

    def carry_out(self, method: str, fields: dict[str, str]) -> Json | bool:
        """The result of a call. Raises Refusal."""
        methods: dict[str, Callable[[dict[str, str]], Json | bool]] = {
            "getMe": lambda _: BOT,
            "setMyCommands": self._set_my_commands,
            "sendMessage": self._send_message,
            "sendDocument": lambda fields: self._post(fields, {"document": {"file_id": "1", "file_unique_id": "1"}}),
            "sendMessageDraft": self._send_message_draft,
            "sendChatAction": self._in_chat,
            "editMessageText": self._edit_message_text,
            "editMessageReplyMarkup": self._edit_message_reply_markup,
            "deleteMessage": self._delete_message,
            "answerCallbackQuery": lambda fields: bool(fields["callback_query_id"]),
        }
        if method not in methods:
            raise Refusal(404, "Not Found: method not found")
        return methods[method](fields)

    def _set_my_commands(self, fields: dict[str, str]) -> bool:
        commands = json.loads(fields["commands"])
        for command in commands:
            name, described = command["command"], 1 <= len(command["description"]) <= 256
            if not (name.isascii() and name.replace("_", "").isalnum() and name == name.lower() and described):
                raise Refusal(400, "Bad Request: BOT_COMMAND_INVALID")
        if len(commands) > _COMMANDS:
            raise Refusal(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
        self.commands[fields.get("language_code", "")] = commands
        return True

    def _in_chat(self, fields: dict[str, str]) -> bool:
        chat_id = int(fields["chat_id"])
        if chat_id in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        if chat_id in self.gone:
            raise Refusal(400, "Bad Request: chat not found")
        if chat_id in self.migrated:
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refusal(400, description, {"migrate_to_chat_id": self.migrated[chat_id]})
        return True

    def _send_message(self, fields: dict[str, str]) -> Json:
        return self._post(fields, {"text": _checked(fields["text"])})

    def _post(self, fields: dict[str, str], content: Json) -> Json:
        self._in_chat(fields)
        chat_id, number = int(fields["chat_id"]), next(self._message_ids)
        topic = int(fields["message_thread_id"]) if "message_thread_id" in fields else None
        message: Json = {
            "message_id": number,
            "date": OPENED + number,
            "chat": chat_of(chat_id, topic),
            "from": BOT,
            **content,
            **_markup(fields),
        }
        if topic is not None:
            message |= {"message_thread_id": topic, "is_topic_message": True}
        self._messages[chat_id, number] = message
        return message

    def _send_message_draft(self, fields: dict[str, str]) -> bool:
        self._in_chat(fields)
        if int(fields["chat_id"]) < 0 or not int(fields["draft_id"]):
            raise Refusal(400, "Bad Request: TEXTDRAFT_PEER_INVALID")
        return bool(_checked(fields["text"]))

    def _edit_message_text(self, fields: dict[str, str]) -> Json:
        message = self._editable(fields)
        if "text" not in message:
            raise Refusal(400, "Bad Request: there is no text in the message to edit")
        return self._replace(fields, message, {"text": _checked(fields["text"])})

    def _edit_message_reply_markup(self, fields: dict[str, str]) -> Json:
        return self._replace(fields, self._editable(fields), {})

    def _editable(self, fields: dict[str, str]) -> Json:
        self._in_chat(fields)
        place = int(fields["chat_id"]), int(fields["message_id"])
        if place not in self._messages or self._messages[place]["from"]["id"] != BOT["id"]:
            raise Refusal(400, "Bad Request: message to edit not found")
        if place in self.uneditable:
            raise Refusal(400, "Bad Request: message can't be edited")
        return self._messages[place]

    def _replace(self, fields: dict[str, str], message: Json, content: Json) -> Json:
        bare = {name: value for name, value in message.items() if name != "reply_markup"}
        changed = {**bare, **content, **_markup(fields)}
        if changed == message:
            raise Refusal(400, "Bad Request: message is not modified")
        self._edits += 1
        changed["edit_date"] = OPENED + self._edits
        self._messages[int(fields["chat_id"]), int(fields["message_id"])] = changed
        return changed

    def _delete_message(self, fields: dict[str, str]) -> bool:
        self._in_chat(fields)
        place = int(fields["chat_id"]), int(fields["message_id"])
        if self._messages.pop(place, None) is None:
            raise Refusal(400, "Bad Request: message to delete not found")
        return True


def _checked(text: str) -> str:
    if not text.strip():
        raise Refusal(400, "Bad Request: message text is empty")
    if units(text) > _TEXT_LIMIT:
        raise Refusal(400, "Bad Request: message is too long")
    return text


def _markup(fields: dict[str, str]) -> Json:
    """The buttons of a message; Telegram shows no empty keyboard."""
    markup = json.loads(fields.get("reply_markup", "{}"))
    rows = markup.get("inline_keyboard", [])
    for button in (button for row in rows for button in row):
        if not button["text"] or not 1 <= len(button["callback_data"].encode()) <= _BUTTON_LIMIT:
            raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
    return {"reply_markup": markup} if rows else {}
