"""Each message judged by its words, and what is kept of it without names and personal data."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from bot.safety import abuse, crisis, names, personal_data
from bot.safety.health import is_health
from bot.safety.output_filter import Setting, check
from bot.safety.personal_patterns import Kind
from model.text import clean_text
from training.chats.facts import unrepeatable
from training.chats.messages import MAX_CHARACTERS, Chat, Line, Message, Reason
from training.errors import BadOption

# A proper noun must come from as many people to stay (TRUST.md, R13); few chats have as many, so most are masked.
NAME_USERS = 5

_URL = re.compile(r"https?://|www\.", re.IGNORECASE)
_MENTION = re.compile(rf"@(?={re.escape(names.PLACEHOLDER)})")
_DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_FULL_NAME = re.compile("[가-힣]{3}")


def screen(chat: Chat, me: Collection[str]) -> list[Line]:
    """The messages of a chat, in their order, judged and masked; `me` are the sender's names of the importer.

    Raises BadOption when kiwipiepy, which finds names, is not installed.
    """
    lines = [_line(message, message.sender in me) for message in chat.messages]
    return _without_names(lines, _variants({*chat.names, *(line.sender for line in lines if line.sender), *me}))


def _line(message: Message, mine: bool) -> Line:
    cleaned = (clean_text(part, len(part)) for part in message.text.split("\n"))
    text = "\n".join(part for part in cleaned if part)
    reason = message.dropped or judge(text, mine)
    masked = "" if reason else personal_data.mask(text)
    return Line(message.sender, mine, message.sent_at, masked, reason)


def judge(text: str, mine: bool) -> Reason | None:
    """Why a clean text may not be used, from its words alone; `mine` lines are learnt and meet stricter rules."""
    checks: dict[Reason, Callable[[], bool]] = {
        Reason.EMPTY: lambda: not text,
        Reason.CRISIS: lambda: crisis.is_crisis(text),
        Reason.LONG: lambda: len(text) > MAX_CHARACTERS,
        Reason.LINK: lambda: _has_link(text),
        # As strict as for the young: what is learnt is said to everybody.
        Reason.SEXUAL: lambda: abuse.is_sexual(text, young=True),
        Reason.HEALTH: lambda: is_health(text),
        Reason.ABUSE: lambda: abuse.score(text) >= abuse.TRAINING_LIMIT,
        Reason.PERSONAL: lambda: mine and bool(personal_data.find(text)),
    }
    found = next((reason for reason, holds in checks.items() if holds()), None)
    if found or not mine:
        return found
    return unrepeatable(text) or (None if check(text, Setting(young=True)).allowed else Reason.UNFIT)


def _has_link(text: str) -> bool:
    return bool(_URL.search(text)) or any(span.kind is Kind.URL for span in personal_data.find(text))


def _without_names(lines: Sequence[Line], display_names: Iterable[str]) -> list[Line]:
    """The lines with a placeholder for each name; the importer's own are dropped instead, or the bot would say it."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        if not line.dropped:
            texts[line.sender or ""].append(line.text)
    try:
        masked = names.mask_names(texts, NAME_USERS, display_names)
    except names.TaggerMissing as error:
        raise BadOption(
            "Names cannot be found without kiwipiepy; install it with pip install 'malbeot[training]'."
        ) from error
    remaining = {sender: iter(found) for sender, found in masked.items()}
    return [line if line.dropped else _named(line, next(remaining[line.sender or ""])) for line in lines]


def _named(line: Line, masked: str) -> Line:
    dropped = Reason.NAME if line.mine and masked != line.text else None
    return Line(line.sender, line.mine, line.sent_at, _MENTION.sub("", masked), dropped)


def _variants(shown: Iterable[str]) -> set[str]:
    """Names as they are shown, without decoration around them, and the given name of a Korean full name."""
    bare = {_DECORATION.sub("", name) for name in shown}
    return bare | set(shown) | {name[1:] for name in bare if _FULL_NAME.fullmatch(name)}
