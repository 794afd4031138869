"""Long replies in pieces that a platform takes, cut where a reader would pause. Pure."""

from __future__ import annotations

import re

# Good places to cut at, best first: paragraph, line, sentence, word.
_PAUSES = tuple(
    re.compile(pattern) for pattern in (r"(?=\n\s*\n)", r"(?=\n)", r"[.!?…。]+[\"'”’」』)\]]*(?=\s)", r"(?=\s)")
)


def split_text(text: str, limit: int) -> list[str]:
    """`text` in order, in pieces of at most `limit` UTF-16 code units; none for blank text.

    UTF-16 is the widest way a platform may count, so that a piece that fits by it fits by any other.
    """
    rest = text.strip()
    pieces = []
    while (size := _fitting(rest, limit)) < len(rest):
        cut = _last_pause(rest, size)
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*pieces, rest] if rest else pieces


def _fitting(text: str, limit: int) -> int:
    """How many characters from the start make at most `limit` units; a pair of surrogates stays together."""
    return len(text.encode("utf-16-le", "replace")[: 2 * limit].decode("utf-16-le", "ignore"))


def _last_pause(text: str, size: int) -> int:
    """Where to end a piece of at most `size` characters; a pause in its first half would waste the piece."""
    for pause in _PAUSES:
        # One character more is looked at: a sentence may end exactly where the piece does.
        ends = [match.end() for match in pause.finditer(text, 0, size + 1) if size // 2 <= match.end() <= size]
        if ends:
            return ends[-1]
    return size
