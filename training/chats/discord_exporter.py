"""DiscordChatExporter's JSON and CSV of one channel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from training.chats.messages import Export, Message, Reason, labels, make_chat, parse_time, tidy_name
from training.chats.tables import rows
from training.errors import BadData
from training.importers.records import BadRecord, as_list, as_object, as_text

SOURCE = "discord-exporter"
HEADER = ["AuthorID", "Author", "Date", "Content", "Attachments", "Reactions"]

_NO_BOTS = "the CSV does not say who is a bot: with bots in the channel, export JSON instead"
_SPOKEN = {"Default", "Reply"}
_DELETED = re.compile(r"Deleted User(?:#0000)?|deleted_user_\w+")
# CSV has no types; these are the sentences that stand for messages that are none.
_NOTE = re.compile(
    r"(?:Added|Removed) .+ (?:to|from) the group\.|Left the group\.|Started a call.*\.|Changed the channel .+"
    r"|Pinned a message\.|Started a thread\.|Joined the server\."
)


def is_discord(document: dict[str, Any]) -> bool:
    """Whether a JSON document is DiscordChatExporter's, by its keys."""
    return {"guild", "channel", "messages"} <= document.keys()


def read_discord_json(document: dict[str, Any], path: Path) -> Export:
    """The channel of the document. Raises BadData when it is not a list of messages."""
    try:
        items = [as_object(item, "a message") for item in as_list(document.get("messages"), '"messages"')]
        title = str(as_object(document.get("channel"), '"channel"').get("name") or "")
    except BadRecord as error:
        raise BadData(f"{path}: {error}; export the channel again as JSON.") from error
    people = [author for item in items if isinstance(author := item.get("author"), dict)]
    people += [user for item in items for user in item.get("mentions") or [] if isinstance(user, dict)]
    names = {str(person[key]) for person in people for key in ("name", "nickname") if person.get(key)}
    called = labels({str(person.get("id")): _shown(person) for person in people})
    return Export(SOURCE, (make_chat(title, _messages(items, called), names),))


def _shown(person: dict[str, Any]) -> str:
    return tidy_name(str(person.get("nickname") or person.get("name") or ""))


def _messages(items: list[dict[str, Any]], called: dict[str, str]) -> Iterator[Message]:
    time = datetime.min
    for item in items:
        sender, text = None, ""
        try:
            author = as_object(item.get("author"), '"author"')
            sender = called[str(author.get("id"))] or None
            time, text = parse_time(item.get("timestamp")), as_text(item.get("content"), '"content"')
            reason = _reason(item, author)
        except BadRecord:
            reason = Reason.BROKEN
        yield Message(sender, time, text, reason)


def _reason(item: dict[str, Any], author: dict[str, Any]) -> Reason | None:
    wordless = not str(item.get("content")).strip()
    checks = {
        Reason.SYSTEM: as_text(item.get("type"), '"type"') not in _SPOKEN,
        Reason.BOT: bool(author.get("isBot")),
        Reason.NO_SENDER: not _shown(author) or _DELETED.fullmatch(str(author.get("name"))) is not None,
        # A forwarded message is a reference to one whose words are not the sender's.
        Reason.FORWARDED: _is_forward(item.get("reference")),
        Reason.STICKER: wordless and bool(item.get("stickers")),
        Reason.MEDIA: bool(item.get("attachments")) or (wordless and bool(item.get("embeds"))),
    }
    return next((reason for reason, holds in checks.items() if holds), None)


def _is_forward(reference: Any) -> bool:
    return isinstance(reference, dict) and reference.get("type") == "Forward"


def read_discord_csv(text: str, path: Path) -> Export:
    """The channel of the file. Raises BadData when it is cut or a row cannot be read."""
    table = list(rows(text, HEADER, path))
    called = labels({row[0]: tidy_name(row[1]) for row in table})
    messages = [_row_message(row, called[row[0]], path) for row in table]
    if messages and not text.endswith("\n"):
        messages[-1] = replace(messages[-1], dropped=messages[-1].dropped or Reason.CUT)
    return Export(SOURCE, (make_chat("", messages),), notes=(_NO_BOTS,))


def _row_message(row: list[str], sender: str, path: Path) -> Message:
    _, author, time, content, attachments, _ = row
    try:
        message = Message(sender, parse_time(time), content)
    except BadRecord as error:
        raise BadData(f"{path}: {error}, where ISO 8601 is expected; use a newer DiscordChatExporter.") from error
    checks = {
        Reason.NO_SENDER: not sender or _DELETED.fullmatch(author) is not None,
        Reason.SYSTEM: _NOTE.fullmatch(content) is not None,
        Reason.MEDIA: bool(attachments),
    }
    return replace(message, dropped=next((reason for reason, holds in checks.items() if holds), None))
