"""What an exported chat is, and why a message of it may not be used."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from training.importers.records import BadRecord

# Longer messages are pasted texts, not talk.
MAX_CHARACTERS = 200


class Reason(StrEnum):
    """Why a message is left out. The values stand in the report."""

    SYSTEM = "a note of the messenger (invitation, call, pin)"
    OTHER_CHAT = "in a chat with a bot, in a channel, or in saved messages"
    BOT = "written by a bot or through one"
    FORWARDED = "forwarded"
    NO_SENDER = "from a deleted account, which nobody can ask"
    BROKEN = "a record without sender, time or text"
    CUT = "the last line, which has no end: the file may be cut"
    EMPTY = "without words"
    DELETED = "deleted by its writer"
    STICKER = "an emoticon or a sticker"
    MEDIA = "a picture, a file, a call or other media"
    LINK = "with a link"
    LONG = "too long for talk"
    CRISIS = "about suicide or self-harm"
    CRISIS_TALK = "in a talk with such a message"
    ABUSE = "abusive"
    SEXUAL = "sexual"
    HEALTH = "about an illness or a treatment"
    PERSONAL = "yours, with personal data (a number, an address)"
    TIME = "yours, with a time or a date"
    PLACE = "yours, with a place"
    APPOINTMENT = "yours, making an appointment"
    AMOUNT = "yours, with an amount or a long number"
    NAME = "yours, with a name"
    UNFIT = "yours, which the bot's own filter would not let it say"
    BESIDE = "said in one breath with a message left out"
    UNANSWERED = "not answered by you"
    UNPROMPTED = "yours, answering nothing that could be kept"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an export. `dropped` is why it is of no use, where the file itself shows that.

    `sender` is None for what nobody wrote. `sent_at` has no zone: the clock of the export's owner, or UTC.
    """

    sender: str | None
    sent_at: datetime
    text: str
    dropped: Reason | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A message after judgement: `text` as it may be learnt, `dropped` why it may not. `mine` is the importer's.

    Line ends stay in the text until it becomes a turn: in a chat they end sentences, as dots do elsewhere.
    """

    sender: str | None
    mine: bool
    sent_at: datetime
    text: str
    dropped: Reason | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """Messages of one conversation, oldest first, and further names that people of it have (nicknames, mentions)."""

    title: str
    messages: tuple[Message, ...]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Export:
    """A file. `source` names its format; `own_names` are what the exporter is called in it instead of a name."""

    source: str
    chats: tuple[Chat, ...]
    own_names: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def make_chat(title: str, messages: Iterable[Message], names: Iterable[str] = ()) -> Chat:
    """A chat in the order of time: some exporters write the newest message first."""
    return Chat(title, tuple(sorted(messages, key=lambda message: message.sent_at)), frozenset(names))


# What a person's name may stand above without them having written it.
NOT_WRITTEN = frozenset({Reason.SYSTEM, Reason.OTHER_CHAT, Reason.BOT})


def writers(chats: Iterable[Chat]) -> Counter[str]:
    """How many messages each person of the chats wrote; bots and forwarded chats are no persons' words."""
    return Counter(
        message.sender
        for chat in chats
        for message in chat.messages
        if message.sender is not None and message.dropped not in NOT_WRITTEN
    )


def tidy_name(name: str) -> str:
    """A name as it is compared: composed, without spaces around it."""
    return unicodedata.normalize("NFC", name).strip()


def labels(names: Mapping[str, str]) -> dict[str, str]:
    """What to call the person of each id: the name, with the id where two people share one."""
    shared = Counter(names.values())
    return {key: name if shared[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def parse_time(value: object) -> datetime:
    """An ISO 8601 time without its zone, in UTC if it has one. Raises BadRecord when it is none."""
    try:
        time = datetime.fromisoformat(str(value))
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError) as error:
        raise BadRecord(f"'{value}' is no time") from error
