"""How often a line, a run of words and a person may be in an export (TRUST.md, R13). Pure.

What a model has seen repeatedly it can recite (Lee et al. 2022; Carlini et al. 2023); these rules keep out what is
repeated and known to few.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from bot.store.sharing import SharedExchange

NGRAM = 8
# Lines of which so large a part of the trigrams is the same say the same.
NEAR = 0.8
# MinHash (Broder 1997): of 8 bands of 4 values one is equal for 98% of the lines that are .8 alike.
_BANDS, _ROWS = 8, 4
_PRIME = (1 << 61) - 1
_COEFFICIENTS = tuple(
    (zlib.crc32(f"a{number}".encode()) | 1, zlib.crc32(f"b{number}".encode())) for number in range(_BANDS * _ROWS)
)
_NO_WORD = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """Lower case, compatibility forms folded, words with single blanks between them."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()


class NearDuplicates:
    """Counts lines that say nearly the same as one before."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[tuple[frozenset[str], str]] = []
        self._bands: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)

    def admit(self, text: str) -> bool:
        """Whether a line is among the first `limit` of its kind; then it counts."""
        plain = normalised(text).replace(" ", "") or text
        grams = _trigrams(plain)
        keys = _keys(grams)
        near = {number for key in keys for number in self._bands.get(key, ()) if self._is_near(number, grams, plain)}
        if len(near) >= self._limit:
            return False
        for key in keys:
            self._bands[key].append(len(self._kept))
        self._kept.append((grams, plain))
        return True

    def _is_near(self, number: int, grams: frozenset[str], plain: str) -> bool:
        others, other = self._kept[number]
        return plain == other or len(grams & others) >= NEAR * len(grams | others)


def _trigrams(plain: str) -> frozenset[str]:
    return frozenset(plain[start : start + 3] for start in range(max(1, len(plain) - 2)))


def _keys(grams: Collection[str]) -> list[tuple[int, ...]]:
    """The bands of a MinHash signature."""
    hashes = [zlib.crc32(gram.encode("utf-8", "surrogatepass")) for gram in grams]
    signature = [min((a * value + b) % _PRIME for value in hashes) for a, b in _COEFFICIENTS]
    return [(band, *signature[band * _ROWS : (band + 1) * _ROWS]) for band in range(_BANDS)]


def repeated_secrets(exchanges: Sequence[SharedExchange], k: int) -> set[int]:
    """Exchanges (their `said_id`) with a run of 8 words that fewer than `k` people wrote and that stands in several.

    R13 asks that an 8-word run come from 5 people. Taken literally nearly every long line would go, as hardly any is
    written twice; but one that stands once is hard to recite, and is what a gate before promotion looks for. So what
    goes is what few people know and is repeated: pasted texts, chain letters, lines a bot was made to say again.
    Runs that only the bot said are its own and count for nothing.
    """
    people: defaultdict[str, set[str]] = defaultdict(set)
    places: defaultdict[str, set[int]] = defaultdict(set)
    for exchange in exchanges:
        for run in _runs((exchange.said, exchange.correction or "")):
            people[run].add(exchange.person)
            places[run].add(exchange.said_id)
    for exchange in exchanges:
        for run in _runs((exchange.replied,)) & people.keys():
            places[run].add(exchange.said_id)
    return {place for run, who in people.items() if len(who) < k and len(places[run]) > 1 for place in places[run]}


def _runs(texts: Iterable[str]) -> set[str]:
    lines = [normalised(text).split() for text in texts]
    return {" ".join(words[start : start + NGRAM]) for words in lines for start in range(len(words) - NGRAM + 1)}


def most_of_one_person(counts: Mapping[str, int], share: float, floor: int) -> int:
    """How many lines one person may have, of the `counts` that people have.

    That is at most `share` of what then remains of all together, but `floor` in any case: with fewer than 1 / share
    people the share alone would leave nothing.
    """
    limit = max(counts.values(), default=0)
    while True:
        total = sum(min(count, limit) for count in counts.values())
        allowed = max(floor, math.floor(share * total))
        if allowed >= limit:
            return limit
        limit = allowed
