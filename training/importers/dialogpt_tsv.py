"""Training files of DialoGPT (Zhang et al. 2020; prepro.py of microsoft/DialoGPT): `source<TAB>target` a line.

The source is turns joined by " EOS "; the target answers the last. Each turn may begin with its weight in the loss, a
float. A target of weight 0 is no reply to learn and is left out, as there; other weights are not kept, since a
dialogue has none.
"""

from __future__ import annotations

import re
from pathlib import Path

from model.dialogue import Role
from training.examples import Dialogue
from training.importers.reading import numbered_lines, read_text
from training.importers.records import BadRecord, Imported, attempt, collect, make_dialogue

_EXPECTED = 'a TSV file of source<TAB>target, the turns of the source joined by " EOS "'
_BETWEEN_TURNS = re.compile(r" EOS |\t")
_WEIGHTED = re.compile(r"\s*([0-9]+\.[0-9]+)((?:\s.*)?)")


def import_dialogpt_tsv(path: Path) -> Imported:
    """One dialogue for each line, with or without weights. Raises BadData when no line is usable."""
    lines = list(numbered_lines(read_text(path, _EXPECTED)))
    # Decided by the whole file, not line by line: a weight must not become a word where one was forgotten.
    weighted = sum(all(map(_WEIGHTED.fullmatch, _BETWEEN_TURNS.split(line))) for _, line in lines)
    convert = _weighted_dialogue if weighted * 2 > len(lines) else _dialogue
    return collect(path, (attempt(f"line {number}", convert, line) for number, line in lines), _EXPECTED)


def _weighted_dialogue(line: str) -> Dialogue:
    turns = [_WEIGHTED.fullmatch(turn) for turn in _turns(line)]
    if turns[-1] is not None and float(turns[-1][1]) == 0:
        raise BadRecord("the weight of the target is 0")
    texts = [turn[2] for turn in turns if turn is not None]
    if len(texts) < len(turns):
        raise BadRecord("a turn does not begin with its weight")
    return _alternating(texts)


def _dialogue(line: str) -> Dialogue:
    return _alternating(_turns(line))


def _turns(line: str) -> list[str]:
    if line.count("\t") != 1:
        raise BadRecord("the line is not source<TAB>target")
    return _BETWEEN_TURNS.split(line)


def _alternating(texts: list[str]) -> Dialogue:
    """The target, which is last, is the bot's; from there the speakers take turns backwards."""
    said = [(Role.BOT if (len(texts) - index) % 2 else Role.USER, text) for index, text in enumerate(texts)]
    return make_dialogue(said, source="dialogpt-tsv")
