"""Names in texts that leave the conversation: rules do not find them, rarity does (TRUST.md, R13).

A proper noun that few users have written may be the name of someone one of them knows; one that many have written is a
city, a brand or a star. Needs the `training` extra (kiwipiepy), which is imported when it is used.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bot.errors import BotError
from bot.safety.personal_data import replace

# Ends in a vowel and takes the particles of a person: "[누구]야", "[누구]랑 싸웠어".
PLACEHOLDER = "[누구]"

_SURNAMES = frozenset(
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구나민진지엄채원천방공현함변염여추도소석"
    "선설마길연위표명기반왕금옥육인맹제모탁국"
)
# One letter names nobody, and as a display name would be found in every line.
_MIN_CHARACTERS = 2


class TaggerMissing(BotError):
    """kiwipiepy, which finds proper nouns, is not installed."""


@dataclass(frozen=True, slots=True)
class _Noun:
    """A noun that may be a name, at `text[start:end]`; the end may include the 이 of 서윤이."""

    form: str
    start: int
    end: int


def mask_names(
    texts_by_user: Mapping[str, Sequence[str]], k: int, display_names: Iterable[str] = ()
) -> dict[str, list[str]]:
    """The texts of each user, in the same order, with names replaced by PLACEHOLDER.

    `texts_by_user` is all of an export at once, by any stable key of a user: a proper noun (Kiwi's NNP, or a noun its
    dictionary lacks) stays if at least `k` different users wrote it. `display_names` are replaced wherever they stand,
    however many wrote them. Personal data should be masked before. A pure function: the same input, the same output.
    Raises TaggerMissing without the `training` extra.
    """
    nouns = {user: [_nouns(text) for text in texts] for user, texts in texts_by_user.items()}
    users: defaultdict[str, set[str]] = defaultdict(set)
    for user, found in nouns.items():
        for noun in (noun for line in found for noun in line):
            users[noun.form].add(user)
    rare = {form for form, writers in users.items() if len(writers) < k}
    shown = _any_of(display_names)
    return {
        user: [
            _mask(text, [noun for noun in line if noun.form in rare], shown)
            for text, line in zip(texts, nouns[user], strict=True)
        ]
        for user, texts in texts_by_user.items()
    }


def _mask(text: str, rare: Iterable[_Noun], shown: re.Pattern[str] | None) -> str:
    spans = [(noun.start, noun.end) for noun in rare]
    if shown is not None:
        spans += [found.span() for found in shown.finditer(text)]
    apart: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(apart[-1][1], end)
        else:
            apart.append((start, end))
    return replace(text, [(start, end, PLACEHOLDER) for start, end in apart])


def _any_of(names: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of the names at the start of a word; particles may follow a Korean one, no letter a Latin one."""
    wanted = sorted({name.strip() for name in names if len(name.strip()) >= _MIN_CHARACTERS}, key=len, reverse=True)
    if not wanted:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(name) for name in wanted)})(?![A-Za-z0-9_])", re.IGNORECASE)


def _nouns(text: str) -> list[_Noun]:
    tokens = _tagger().tokenize(text)
    found = []
    for index, token in enumerate(tokens):
        if len(token.form) < _MIN_CHARACTERS or not (token.tag == "NNP" or (token.tag == "NNG" and token.oov)):
            continue
        start, end = token.start, token.end
        # Kiwi may part a surname it took for another word ("이 도윤").
        if text[start - 1 : start] in _SURNAMES and not text[max(0, start - 2) : start - 1].isalnum():
            start -= 1
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if after is not None and after.tag == "XSN" and after.form == "이" and after.start == end:
            end = after.end
        found.append(_Noun(token.form, start, end))
    return found


@lru_cache(maxsize=1)
def _tagger() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise TaggerMissing(
            "이름을 찾으려면 kiwipiepy가 필요해요. pip install 'malbeot[training]' 으로 설치해 주세요."
        ) from error
    return Kiwi()
