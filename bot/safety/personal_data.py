"""Personal data in what people write: where it is, and the text without it. Names are in bot/safety/names.py.

maskingtape without its name detector, and chat rules of our own (bot/safety/personal_patterns.py). Both run on
normalised text (full-width digits, zero-width characters, letters typed apart); what is found is told in offsets of
the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from maskingtape.detectors import AccountDetector, AddressDetector, Detector, PhoneDetector, RRNDetector
from maskingtape.normalize import NormalizedText, normalize
from maskingtape.types import Detection

from bot.safety.personal_patterns import Kind, matches

# What stands in the place of personal data: a noun that ends in a vowel, so that one form of each particle fits, in
# brackets that no chat format and no markup of a platform gives a meaning to.
PLACEHOLDERS = {
    Kind.RRN: "[주민번호]",
    Kind.FRN: "[외국인번호]",
    Kind.PHONE: "[전화번호]",
    Kind.ACCOUNT: "[계좌번호]",
    Kind.CARD: "[카드번호]",
    Kind.PASSPORT: "[여권번호]",
    Kind.DRIVER: "[면허번호]",
    Kind.EMAIL: "[메일주소]",
    Kind.ADDRESS: "[주소]",
    Kind.PLATE: "[차량번호]",
    Kind.MSGID: "[아이디]",
    Kind.BUSINESS: "[사업자번호]",
    Kind.URL: "[링크]",
}
# What two rules find in the same place is the kind that stands first here: the stricter its form, the earlier.
_RANK = {
    kind: rank
    for rank, kind in enumerate(
        (
            Kind.RRN,
            Kind.FRN,
            Kind.CARD,
            Kind.DRIVER,
            Kind.PASSPORT,
            Kind.URL,
            Kind.EMAIL,
            Kind.PHONE,
            Kind.BUSINESS,
            Kind.PLATE,
            Kind.MSGID,
            Kind.ACCOUNT,
            Kind.ADDRESS,
        )
    )
}

# Text without any of these holds no personal data, and most lines of a chat are without: digits and letters but Hangul,
# what stands for @, digits in words.
_TRACE = re.compile(r"[^\W가-힣ㄱ-ㆎ_]|@|골뱅이|[공영]\W{0,3}[일육]|[공영일이삼사오육륙칠팔구]{3}")
# Long text is read in pieces that overlap, so that no pattern meets more than this many characters.
_PIECE, _OVERLAP = 2000, 200

# Each detector of maskingtape reads only what can hold its kind.
_NUMBER = re.compile(r"\d[\d\-. ]{8}")
_PLACE = re.compile(r"[가-힣\d](?:시|군|구|동|읍|면|리|로|길|호|층) ?\d")
_BESIDE = re.compile(r"[,\s]{1,2}")
# Particles after a consonant and after a vowel, the longer ones first.
_PARTICLES = (
    ("이에요", "예요"),
    ("이랑", "랑"),
    ("이라", "라"),
    ("이고", "고"),
    ("이지", "지"),
    ("이야", "야"),
    ("으로", "로"),
    ("은", "는"),
    ("을", "를"),
    ("과", "와"),
    ("아", "야"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """Personal data at `text[start:end]` of the text it was found in; `kind` is a value of Kind."""

    start: int
    end: int
    kind: Kind


def find(text: str) -> list[Span]:
    """Personal data in a text, in order and without overlaps; offsets are the text's own. Names are not found.

    Takes a fraction of a millisecond for a line of chat, and time that grows linearly with the text.
    """
    if not _TRACE.search(text):
        return []
    prepared = normalize(text)
    found: list[tuple[int, int, Kind]] = []
    for start in range(0, len(prepared.text), _PIECE):
        piece = prepared.text[start : start + _PIECE + _OVERLAP]
        found += [(start + first, start + last, kind) for first, last, kind in _find_in_piece(piece)]
    return [_restore(prepared, *span) for span in _merge(found, prepared.text)]


def mask(text: str) -> str:
    """The text with a placeholder for each piece of personal data, particles after it made to fit."""
    return replace(text, [(span.start, span.end, PLACEHOLDERS[span.kind]) for span in find(text)])


def replace(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """The text with each span (start, end, placeholder) replaced; spans in order, placeholders that end in a vowel."""
    parts: list[str] = []
    done = 0
    for start, end, placeholder in spans:
        particle, length = _particle_at(text, end)
        parts += [text[done:start], placeholder, particle]
        done = end + length
    return "".join([*parts, text[done:]])


def _particle_at(text: str, position: int) -> tuple[str, int]:
    """The particle that stands right here, in its form after a vowel, and how long it is as it stands."""
    for after_consonant, after_vowel in _PARTICLES:
        after = text[position + len(after_consonant) : position + len(after_consonant) + 1]
        # 은 in 은행 and 이야 in 이야기 are parts of a word.
        in_word = "가" <= after <= "힣" if len(after_consonant) == 1 else after == "기"
        if text.startswith(after_consonant, position) and not in_word:
            return after_vowel, len(after_consonant)
    return "", 0


def _find_in_piece(piece: str) -> Iterator[tuple[int, int, Kind]]:
    if not _TRACE.search(piece):
        return
    for kind, start, end in matches(piece):
        yield start, end, kind
    for kind, detector in _needed(piece):
        for detection in detector.detect(piece):
            if _is_exact(kind, detection):
                yield detection.start, detection.end, _refine(kind, detection)


def _needed(piece: str) -> Iterator[tuple[Kind, Detector]]:
    rrn, phone, account, address = _detectors()
    if _NUMBER.search(piece):
        yield Kind.RRN, rrn
        yield Kind.PHONE, phone
        yield Kind.ACCOUNT, account
    if _PLACE.search(piece):
        yield Kind.ADDRESS, address


@lru_cache(maxsize=1)
def _detectors() -> tuple[Detector, Detector, Detector, Detector]:
    return RRNDetector(), PhoneDetector(), AccountDetector(), AddressDetector()


def _is_exact(kind: Kind, detection: Detection) -> bool:
    """False for a place without a number: a city or a district is nobody's address."""
    return kind is not Kind.ADDRESS or any(character.isdigit() for character in detection.text)


def _refine(kind: Kind, detection: Detection) -> Kind:
    if kind is not Kind.RRN:
        return kind
    digits = [character for character in detection.text if character.isdigit()]
    gender = digits[-7] if len(digits) >= 13 else digits[6] if len(digits) > 6 else ""
    return Kind.FRN if gender and gender in "5678" else Kind.RRN


def _merge(found: Iterable[tuple[int, int, Kind]], text: str) -> list[tuple[int, int, Kind]]:
    """One span for spans that overlap, and for the parts of an address that stand side by side."""
    merged: list[tuple[int, int, Kind]] = []
    for start, end, kind in sorted(found):
        if merged:
            first, last, before = merged[-1]
            beside = kind is before is Kind.ADDRESS and _BESIDE.fullmatch(text, last, start)
            if start < last or beside:
                merged[-1] = first, max(last, end), min(before, kind, key=_RANK.__getitem__)
                continue
        merged.append((start, end, kind))
    return merged


def _restore(prepared: NormalizedText, start: int, end: int, kind: Kind) -> Span:
    original = prepared.restore(Detection(kind, start, end, prepared.text[start:end]))
    return Span(original.start, original.end, kind)
