"""Which messenger wrote a file, told by its content: names of files say nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.chats import discord_exporter, kakaotalk_csv
from training.chats.discord_exporter import is_discord, read_discord_csv, read_discord_json
from training.chats.encodings import read_exact
from training.chats.kakaotalk import Layout, fits, parse_lines
from training.chats.kakaotalk_android import ANDROID
from training.chats.kakaotalk_csv import read_kakaotalk_csv
from training.chats.kakaotalk_ios import IOS
from training.chats.kakaotalk_pc import PC
from training.chats.messages import Export
from training.chats.telegram_desktop import is_telegram, read_telegram
from training.errors import BadData

SUPPORTED = (
    "KakaoTalk chats exported on Android, iOS or Windows (text) and macOS (CSV), in Korean or English; "
    "Telegram Desktop's result.json, of one chat or an account; DiscordChatExporter's JSON and CSV"
)
LAYOUTS: tuple[Layout, ...] = (ANDROID, IOS, PC)

_PACKAGE_HEADER = ["ID", "Timestamp", "Contents", "Attachments"]
_NO_REPLIES = (
    "this is from Discord's data package, which holds your own messages only: without the other side there is no "
    "dialogue; export the chat with DiscordChatExporter instead"
)
# A JSON parser finds the end of a cut file within this many characters (a literal or an escape that is not whole).
_TAIL = 8


def read_export(path: Path) -> Export:
    """The chats of an export of any supported format.

    Raises BadData when the file cannot be read, is cut, is damaged, or is of another format.
    """
    text, encoding = read_exact(path)
    export = _read_json(text, path) if text.lstrip()[:1] in "{[" and _is_json(text) else _read_lines(text, path)
    if encoding is None:
        return export
    note = f"the file is no UTF-8; it was read as {encoding}, which fits throughout"
    return Export(export.source, export.chats, export.own_names, (*export.notes, note))


def _is_json(text: str) -> bool:
    """A chat of KakaoTalk on Windows may begin with a bracket as well."""
    start = text.lstrip()
    return start.startswith("{") or start[1:].lstrip()[:1] in ("{", "]")


def _read_json(text: str, path: Path) -> Export:
    document = _parse(text, path)
    if isinstance(document, dict) and is_discord(document):
        return read_discord_json(document, path)
    if isinstance(document, dict) and is_telegram(document):
        return read_telegram(document, path)
    if isinstance(document, list) and document and isinstance(document[0], dict) and "Contents" in document[0]:
        raise BadData(f"{path}: {_NO_REPLIES}.")
    raise BadData(f"{path}: this JSON is of no known format; supported are {SUPPORTED}.")


def _parse(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unterminated string") or len(text.rstrip()) - error.pos <= _TAIL:
            raise BadData(f"{path}: the JSON ends in the middle: the file is cut; export the chat again.") from error
        raise BadData(f"{path}: this is not whole JSON ({error}); supported are {SUPPORTED}.") from error
    except RecursionError as error:
        raise BadData(f"{path}: this JSON is of no known format; supported are {SUPPORTED}.") from error


def _read_lines(text: str, path: Path) -> Export:
    header = [name.strip().strip('"') for name in text.partition("\n")[0].split(",")]
    if header == kakaotalk_csv.HEADER:
        return read_kakaotalk_csv(text, path)
    if header == discord_exporter.HEADER:
        return read_discord_csv(text, path)
    if header == _PACKAGE_HEADER:
        raise BadData(f"{path}: {_NO_REPLIES}.")
    lines = text.removesuffix("\n").split("\n")
    layout = max(LAYOUTS, key=lambda layout: fits(layout, lines))
    if not fits(layout, lines):
        raise BadData(f"{path}: the format of this file is not known; supported are {SUPPORTED}.")
    chat = parse_lines(layout, lines, text.endswith("\n"), path)
    return Export(layout.source, (chat,), layout.own_names)
