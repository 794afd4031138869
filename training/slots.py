"""Persona dialogues with other values in their facts: names, places, pets, foods, numbers.

Copying a fact from the persona is learnt only where the value cannot be known by heart, so a value that fact and reply
share is replaced by another of its kind, everywhere in the dialogue. The new value ends as the old one does, in a
vowel, in ㄹ or in another consonant, so that every particle after it stays right.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from model.dialogue import Role, Turn
from model.hangul import final
from training.examples import Dialogue

VALUES: Mapping[str, Sequence[str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_PARTICLE = (
    "(?:은|는|이|가|을|를|도|만|의|에|에서|에게|한테|와|과|랑|이랑|하고|로|으로|까지|부터|보다|처럼|요|이요|예요|이에요|이야|야|다"
    "|이다|죠|이죠|라고|이라고|라서|이라서|인데|이고|고|씨|님|네|살|였어|이었어|였어요|이었어요|입니다|이라|라|이네|네요|이네요)?"
)


def ending(word: str) -> str:
    """What particles depend on: whether the last syllable is open, closed by ㄹ, or closed otherwise."""
    last = final(word[-1])
    return "open" if not last else "ㄹ" if last == "ㄹ" else "closed"


def with_other_values(dialogue: Dialogue, rng: random.Random) -> Dialogue | None:
    """`dialogue` with one shared value replaced; None where persona and replies share no value of a known kind."""
    shared = _shared_values(dialogue)
    if not shared:
        return None
    kind, old = rng.choice(shared)
    taken = {word for word in VALUES[kind] if any(word in text for text in _texts(dialogue))}
    fitting = [word for word in VALUES[kind] if ending(word) == ending(old) and word not in taken]
    if not fitting:
        return None
    new = rng.choice(fitting)
    pattern = _whole(old)
    return replace(
        dialogue,
        persona=tuple(pattern.sub(new, fact) for fact in dialogue.persona),
        turns=tuple(Turn(turn.role, pattern.sub(new, turn.text)) for turn in dialogue.turns),
    )


def multiplied(dialogues: Sequence[Dialogue], copies: int, rng: random.Random) -> list[Dialogue]:
    """`copies` variants with other values of every dialogue that allows it."""
    variants = (with_other_values(dialogue, rng) for dialogue in dialogues for _ in range(copies))
    return [variant for variant in variants if variant is not None]


def _shared_values(dialogue: Dialogue) -> list[tuple[str, str]]:
    """Kinds and values that stand in a fact and in something the bot says."""
    facts = "\n".join(dialogue.persona)
    said = "\n".join(turn.text for turn in dialogue.turns if turn.role is Role.BOT)
    return [
        (kind, word)
        for kind, words in VALUES.items()
        for word in words
        if word in facts and word in said and _whole(word).search(facts) and _whole(word).search(said)
    ]


def _whole(word: str) -> re.Pattern[str]:
    """`word` as a word of its own: nothing before it, and after it a particle or the copula at most."""
    return re.compile(rf"(?<![가-힣A-Za-z]){re.escape(word)}(?={_PARTICLE}(?![가-힣]))")


def _texts(dialogue: Dialogue) -> list[str]:
    return [*dialogue.persona, *(turn.text for turn in dialogue.turns)]
