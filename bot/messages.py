"""What adapters and the bot exchange: the whole contract between a platform and the conversation manager."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Identity of a conversation. Platform ids as text, never names, which anyone can take."""

    platform: str
    chat_id: str
    thread_id: str = ""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message as it reached the bot. `sent_at` is timezone-aware; `addressed` says it is meant for the bot."""

    key: ConversationKey
    message_id: str
    user_id: str
    user_name: str
    text: str
    sent_at: datetime
    is_group: bool = False
    addressed: bool = True


class Surface(Protocol):
    """Where an answer is shown."""

    async def draft(self, text: str) -> None:
        """Show the reply so far, whole; may be dropped or throttled."""
        ...

    async def send(self, text: str) -> None:
        """Show the one final message."""
        ...
