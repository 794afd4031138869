"""Telegram Desktop's result.json: one chat, or all of an account under "chats"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from training.chats.messages import Chat, Export, Message, Reason, labels, make_chat, parse_time, tidy_name
from training.errors import BadData
from training.importers.records import BadRecord, as_list, as_object, as_text

# Kinds of chats in which people talk with each other.
_OF_PEOPLE = {"personal_chat", "private_group", "private_supergroup", "public_supergroup"}
_MEDIA = ("media_type", "photo", "file", "location_information", "contact_information", "poll", "game_title")
_LINKS = {"link", "text_link"}
_MENTIONS = {"mention", "mention_name"}


def is_telegram(document: dict[str, Any]) -> bool:
    """Whether a JSON document is Telegram Desktop's, by its keys."""
    account = document.get("chats")
    if isinstance(account, dict) and isinstance(account.get("list"), list):
        return True
    return {"type", "id", "messages"} <= document.keys() and "channel" not in document


def read_telegram(document: dict[str, Any], path: Path) -> Export:
    """The chats of the document. Raises BadData when one of them is not a list of messages."""
    records = document["chats"]["list"] if "chats" in document else [document]
    try:
        return Export("telegram-desktop", tuple(_chat(as_object(record, "a chat")) for record in records))
    except BadRecord as error:
        raise BadData(f"{path}: {error}; export the chat again as machine-readable JSON.") from error


def _chat(record: dict[str, Any]) -> Chat:
    messages = [as_object(item, "a message") for item in as_list(record.get("messages"), '"messages"')]
    called = labels(
        {str(item.get("from_id", item["from"])): tidy_name(item["from"]) for item in messages if _has_sender(item)}
    )
    of_people = record.get("type") in _OF_PEOPLE
    title = record.get("name") or ""
    return make_chat(str(title), _messages(messages, called, of_people), _names(messages))


def _has_sender(item: dict[str, Any]) -> bool:
    return isinstance(item.get("from"), str) and bool(item["from"].strip())


def _messages(items: list[dict[str, Any]], called: dict[str, str], of_people: bool) -> Iterator[Message]:
    time = datetime.min
    for item in items:
        sender = called[str(item.get("from_id", item["from"]))] if _has_sender(item) else None
        try:
            time = parse_time(item.get("date"))
            text = "".join(piece for _, piece in _pieces(item.get("text")))
            reason = _reason(item, sender) if of_people else Reason.OTHER_CHAT
        except BadRecord:
            text, reason = "", Reason.BROKEN
        yield Message(sender, time, text, reason)


def _reason(item: dict[str, Any], sender: str | None) -> Reason | None:
    """Why the message is of no use; raises BadRecord when it is none."""
    kind = as_text(item.get("type"), '"type"')
    checks = {
        Reason.SYSTEM: kind != "message",
        Reason.NO_SENDER: sender is None,
        Reason.BOT: "via_bot" in item,
        Reason.FORWARDED: "forwarded_from" in item or "saved_from" in item,
        Reason.STICKER: item.get("media_type") == "sticker",
        Reason.MEDIA: any(key in item for key in _MEDIA),
        Reason.LINK: any(name in _LINKS for name, _ in _pieces(item.get("text"))),
    }
    return next((reason for reason, holds in checks.items() if holds), None)


def _pieces(text: Any) -> list[tuple[str, str]]:
    """The kinds and texts of what a message is made of. Raises BadRecord when "text" has another form."""
    if isinstance(text, str):
        return [("plain", text)]
    pieces: list[tuple[str, str]] = []
    for piece in as_list(text, '"text"'):
        if isinstance(piece, str):
            pieces.append(("plain", piece))
        else:
            entity = as_object(piece, 'a piece of "text"')
            pieces.append((str(entity.get("type")), as_text(entity.get("text"), 'the "text" of a piece')))
    return pieces


def _names(items: list[dict[str, Any]]) -> set[str]:
    """Who is named otherwise than as a sender: in mentions, in notes, as the writer of what was forwarded."""
    found: set[str] = set()
    for item in items:
        found |= {name for key in ("from", "actor", "forwarded_from") if isinstance(name := item.get(key), str)}
        members = item.get("members")
        found |= {name for name in members if isinstance(name, str)} if isinstance(members, list) else set()
        entities = item.get("text") if isinstance(item.get("text"), list) else []
        found |= {
            str(entity.get("text")).lstrip("@")
            for entity in entities or []
            if isinstance(entity, dict) and entity.get("type") in _MENTIONS
        }
    return found
