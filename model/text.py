"""Cleaning of what people type before it meets a tokenizer. Standard library only."""

from __future__ import annotations

import re
import unicodedata

_RUN = re.compile(r"(\S)\1{3,}")
_SPACE = re.compile(r"\s+")
# Format characters (Cf) hide or reorder text: zero-width, bidi overrides, soft hyphen. The zero-width joiner alone
# carries meaning, inside emoji.
_JOINER = "\u200d"


def clean_text(text: str, max_characters: int = 4000) -> str:
    """NFC text on one line, without control or invisible characters, runs of a character cut to three.

    Everything a model reads goes through here, in training as in serving, so that both see the same text.
    """
    # Composed last: what stood between a letter and its accent is gone by then.
    composed = unicodedata.normalize("NFC", visible_text(text[: max_characters * 2]))
    return _RUN.sub(r"\1\1\1", _SPACE.sub(" ", composed))[:max_characters].strip()


def visible_text(text: str) -> str:
    """The text without control or invisible characters, each white space a blank."""
    if text.isprintable():  # nearly all text: by definition nothing but visible characters and blanks
        return text
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or _is_visible(c))


def _is_visible(character: str) -> bool:
    return character == _JOINER or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
