"""KakaoTalk on macOS: CSV with the header Date,User,Message, the same in every language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from training.chats.kakaotalk import NOTE, classify
from training.chats.messages import Export, Message, Reason, make_chat, parse_time, tidy_name
from training.chats.tables import rows
from training.errors import BadData
from training.importers.records import BadRecord

HEADER = ["Date", "User", "Message"]


def read_kakaotalk_csv(text: str, path: Path) -> Export:
    """The chat of the file. Raises BadData when it is cut or a row cannot be read."""
    messages = [_message(row, path) for row in rows(text, HEADER, path)]
    if messages and not text.endswith("\n"):
        messages[-1] = replace(messages[-1], dropped=messages[-1].dropped or Reason.CUT)
    return Export("kakaotalk-macos", (make_chat("", messages),))


def _message(row: list[str], path: Path) -> Message:
    time, user, text = row
    try:
        sent_at = parse_time(time)
    except BadRecord as error:
        raise BadData(f"{path}: {error}, where KakaoTalk writes 2015-07-09 20:34:26; export the chat again.") from error
    if not user.strip() or NOTE.fullmatch(text):
        return Message(None, sent_at, text, Reason.SYSTEM)
    return classify(Message(tidy_name(user), sent_at, text.rstrip()))
