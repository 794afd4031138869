"""What adapters and the bot exchange: the whole contract between a platform and the conversation manager."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Undeliverable(Exception):
    """The platform will never take this answer: the bot was blocked or removed, or the chat is gone."""


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Identity of a conversation. Platform ids as text, never names, which anyone can take."""

    platform: str
    chat_id: str
    thread_id: str = ""


class Kind(StrEnum):
    """What reached the bot."""

    TEXT = "text"
    """A line or a command; also the press of a button that says it for the person (`Choice`)."""
    EDIT = "edit"
    """The message `message_id`, changed by its author; `text` is the new one."""
    MEDIA = "media"
    """A photo, sticker, voice note or file; `text` holds what was written with it, which may be nothing."""
    RETRY = "retry"
    """The press of 🔄 under the reply `about`."""
    CHECK_IN = "check_in"
    """Nobody said anything: the bot is to write first, as was asked of it."""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message as it reached the bot, always meant for it: adapters drop what is not.

    `event_id` is unique on its platform, so that the same event is answered once, however often it is delivered.
    `sent_at` is timezone-aware. `about` is the id of the reply that a press concerns. `address` is the adapter's own
    note on where to answer, kept with the message over a restart.
    """

    key: ConversationKey
    message_id: str
    user_id: str
    user_name: str
    text: str
    sent_at: datetime
    is_group: bool = False
    kind: Kind = Kind.TEXT
    event_id: str = ""
    about: int | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A button: `label` is on it, and pressing it says `says` for the person, a line or a command."""

    label: str
    says: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file that goes with an answer."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The one final answer to a message.

    `reply_id` names a reply of the model, which can be judged and asked for again: show 👍 👎 🔄 with it. `private`
    is for the asker's eyes only, where the platform can do that. `replaces` are the ids of the platform's messages
    that this answer takes the place of: edit them where that is possible, else send anew.
    """

    text: str
    reply_id: int | None = None
    choices: tuple[Choice, ...] = ()
    private: bool = False
    replaces: tuple[str, ...] = ()
    attachment: Attachment | None = None


class Judgement(StrEnum):
    """What somebody thinks of a reply."""

    UP = "up"
    DOWN = "down"
    RETRY = "retry"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A judgement of the reply `reply_id`, or of the one shown as the platform's message `message_id`."""

    key: ConversationKey
    user_id: str
    judgement: Judgement
    reply_id: int | None = None
    message_id: str | None = None
    correction: str = ""


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A command as a platform's menu shows it; `argument` is the name of what may be written behind it, if anything."""

    name: str
    description: str
    argument: str | None = None


class Surface(Protocol):
    """Where one message is answered."""

    async def typing(self) -> None:
        """Show for some seconds that an answer is being made. Errors are ignored."""
        ...

    async def draft(self, text: str) -> None:
        """Show the reply so far, whole; may be dropped or throttled. Errors are ignored."""
        ...

    async def notice(self, text: str) -> None:
        """Say something beside the answer, which still comes. Errors are ignored."""
        ...

    async def send(self, answer: Answer) -> Sequence[str]:
        """Show the one final answer, and return the platform's ids of its messages.

        Goes on trying while the platform cannot be reached or asks to wait. Raises Undeliverable.
        """
        ...


class Platform(Protocol):
    """A connected platform."""

    name: str

    def surface(self, message: IncomingMessage, entry_id: int) -> Surface:
        """Where to answer `message`; its inbox entry's id is the same at every try, also after a restart."""
        ...


class Reception(Protocol):
    """The bot as adapters see it."""

    async def put(self, message: IncomingMessage) -> bool:
        """Accept a message: when this returns it is committed, and will be answered also after a crash.

        False for one that is not answered: it came before, or its author sends too many. Raises BotError's
        StorageFailed when it cannot be stored: then do not tell the platform that it was received.
        """
        ...

    async def judge(self, feedback: Feedback) -> bool:
        """Store a judgement; a later 👍 or 👎 of the same person replaces the earlier. False for an unknown reply."""
        ...

    async def newest(self, platform: str) -> dict[ConversationKey, str]:
        """Of each conversation lately active, the id of the newest message that was accepted: where to catch up from.

        Only messages of kind TEXT and MEDIA count.
        """
        ...

    async def move(self, platform: str, old_chat_id: str, new_chat_id: str) -> None:
        """A group goes on under another id: so do its conversations."""
        ...

    def serving(self, platform: Platform) -> AbstractAsyncContextManager[None]:
        """While inside, what was accepted is answered, first what a crash left. Leaving finishes what is under way.

        What does not finish in time stays in the inbox.
        """
        ...
