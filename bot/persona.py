"""Who the bot is in a conversation: up to five short facts that a user may write."""

from __future__ import annotations

import re

from bot.errors import BotError
from model.text import clean_text

MAX_FACTS = 5
MAX_FACT_CHARACTERS = 60
_BETWEEN = re.compile(r"\n|;|(?<=[.!?])\s+")


class BadPersona(BotError):
    """A persona has too many facts or one that is too long."""


def parse_facts(text: str) -> tuple[str, ...]:
    """Facts out of what a user wrote: one a line, a sentence or a part between semicolons. Raises BadPersona."""
    facts = tuple(fact for part in _BETWEEN.split(text) if (fact := clean_text(part)))
    if not facts:
        raise BadPersona("페르소나가 비어 있어요. 예: /persona 내 이름은 토리다. 나는 전주에 산다.")
    if len(facts) > MAX_FACTS:
        raise BadPersona(
            f"페르소나는 {MAX_FACTS}문장까지 쓸 수 있어요. 지금은 {len(facts)}문장이니 조금만 줄여 주세요."
        )
    longest = max(facts, key=len)
    if len(longest) > MAX_FACT_CHARACTERS:
        raise BadPersona(f"한 문장은 {MAX_FACT_CHARACTERS}자까지예요. 이 문장을 줄여 주세요: {longest[:20]}…")
    return facts
