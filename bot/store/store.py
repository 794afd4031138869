"""The store: all its parts over one database."""

from __future__ import annotations

from bot.store.base import utc_now
from bot.store.conversations import (
    Exchange,
    History,
    Pending,
    Recorded,
    StoredConversation,
    StoredTurn,
    TurnIds,
    newest_turns,
)
from bot.store.entries import Entries
from bot.store.judgements import Judgements
from bot.store.sharing import Sharing

__all__ = [
    "Exchange",
    "History",
    "Pending",
    "Recorded",
    "Store",
    "StoredConversation",
    "StoredTurn",
    "TurnIds",
    "newest_turns",
    "utc_now",
]


class Store(Sharing, Entries, Judgements):
    """Conversations, consents, sharing, the inbox and feedback: `async with Store.open(path, cipher) as store`."""
