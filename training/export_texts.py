"""What may not be in an export: exchanges that are left out, data and names that are masked in the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from bot.safety import abuse, crisis
from bot.safety.health import is_health
from bot.safety.names import PLACEHOLDER, mask_names
from bot.safety.output_filter import Setting, check
from bot.safety.personal_data import PLACEHOLDERS, mask
from bot.store.sharing import SharedExchange
from model.dialogue import DEFAULT_PERSONA
from model.text import clean_text

# What bytes that are no text decode to.
_UNREADABLE = "\ufffd"
_MASKED = re.compile("|".join(re.escape(placeholder) for placeholder in (*PLACEHOLDERS.values(), PLACEHOLDER)))
# The key of the bot's own lines beside people's pseudonyms, which are hexadecimal.
_BOT = "bot"


_REASONS: Mapping[str, Callable[[str], bool]] = {
    "unreadable": lambda text: _UNREADABLE in text,
    "crisis": crisis.is_crisis,
    "abuse": lambda text: abuse.score(text) >= abuse.TRAINING_LIMIT,
    # As strict as for the young: what is learnt is said to everybody.
    "sexual": lambda text: abuse.is_sexual(text, young=True),
    "health": is_health,
}


def why_unfit(text: str) -> str | None:
    """Why an exchange with this line in it is left out; None where it is not."""
    return next((reason for reason, holds in _REASONS.items() if holds(text)), None)


def is_learnable(text: str) -> bool:
    """Whether a masked line may be a reply: with nothing in it that was masked, and as the bot may speak."""
    return _MASKED.search(text) is None and check(text, Setting(young=True)).allowed


def cleaned(exchange: SharedExchange) -> SharedExchange:
    """The exchange with its texts as a model reads them."""
    return replace(
        exchange,
        said=clean_text(exchange.said),
        replied=clean_text(exchange.replied),
        correction=None if exchange.correction is None else clean_text(exchange.correction) or None,
        persona=None if exchange.persona is None else tuple(map(clean_text, exchange.persona)),
    )


def masked(exchanges: Sequence[SharedExchange], k: int) -> list[SharedExchange]:
    """The exchanges of all people, personal data masked, and proper nouns that fewer than `k` of them wrote.

    What the bot said counts for nobody: an echo makes no name common. Raises bot.safety.names.TaggerMissing.
    """
    bare = [_without_data(exchange) for exchange in exchanges]
    written: dict[str, list[str]] = {}
    for exchange in bare:
        written.setdefault(exchange.person, []).extend(_written(exchange))
    # The default persona is nobody's secret.
    public = {f"public {number}": DEFAULT_PERSONA for number in range(k + 1)}
    of_people = _pairs(written, mask_names({**written, **public}, k))
    replies = [exchange.replied for exchange in bare]
    # Every noun of the bot's has the bot as one more who wrote it.
    of_bot = dict(zip(replies, mask_names({**written, **public, _BOT: replies}, k + 1)[_BOT], strict=True))
    return [
        replace(
            exchange,
            said=of_people[exchange.person, exchange.said],
            replied=of_bot[exchange.replied],
            correction=exchange.correction and of_people[exchange.person, exchange.correction],
            persona=exchange.persona and tuple(of_people[exchange.person, fact] for fact in exchange.persona),
        )
        for exchange in bare
    ]


def _without_data(exchange: SharedExchange) -> SharedExchange:
    return replace(
        exchange,
        said=mask(exchange.said),
        replied=mask(exchange.replied),
        correction=exchange.correction and mask(exchange.correction),
        persona=exchange.persona and tuple(map(mask, exchange.persona)),
    )


def _written(exchange: SharedExchange) -> Iterable[str]:
    """What the person of an exchange wrote in it."""
    return (exchange.said, *([exchange.correction] if exchange.correction else []), *(exchange.persona or ()))


def _pairs(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], str]:
    return {
        (person, text): without
        for person, texts in before.items()
        for text, without in zip(texts, after[person], strict=True)
    }
