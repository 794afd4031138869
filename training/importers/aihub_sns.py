"""AI Hub's 한국어 SNS: conversations of messengers as JSON, many in a file, personal details replaced by marks.

`{"data": [{"header": {"dialogueInfo": {"numberOfParticipants": 2, ...}}, "body": [{"utterance": ..., "turnID": ...,
"participantID": "P01"}, ...]}]}`. Who writes first is taken for the user, the other for the bot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.dialogue import Role
from training.errors import BadData
from training.examples import Dialogue
from training.importers.reading import parse_document, read_text
from training.importers.records import (
    BadRecord,
    Imported,
    Problem,
    as_list,
    as_object,
    as_text,
    attempt,
    collect,
    make_dialogue,
)

_EXPECTED = 'AI Hub SNS JSON: an object with the list "data" of dialogues with "header" and "body"'
# Who writes, and what.
Utterance = tuple[str, str]

# Marks are #@이름#, or #@시스템#사진# and #@이모티콘#하트# with a second part.
_MARK = re.compile(r"#@(?:시스템|이모티콘)#[^#@\s]+#(?!@)|#@[^#@\s]*#")
_EMOTICON = re.compile(r"#@이모티콘#(?:[^#@\s]+#(?!@))?")
# A name called out before what is said: the particle shows that it is no part of the sentence.
_CALL = re.compile(r"^\s*#@이름#[아야](?=[\s,.!~ㅋㅎㅠㅜ]|$)[\s,]*")


def import_aihub_sns(path: Path) -> Imported:
    """Dialogues of two people, cut where a mark hides what was said. Raises BadData when the file holds none.

    Emoticons and called names are left out of their utterance, which says the same without them. Any other mark (a
    name in a sentence, an address, a picture) stands for something the answer depends on: the utterance is dropped
    and each side of it is a dialogue of its own.
    """
    document = parse_document(read_text(path, _EXPECTED), path, _EXPECTED)
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise BadData(f'{path}: there is no list "data"; expected {_EXPECTED}.')
    numbered = enumerate(document["data"], start=1)
    items = (item for number, record in numbered for item in _items(f"dialogue {number}", record))
    return collect(path, items, _EXPECTED)


def _items(place: str, record: Any) -> Iterator[Dialogue | Problem]:
    try:
        utterances = _utterances(record)
    except BadRecord as error:
        yield Problem(place, str(error))
        return
    pieces, marks = _cut(utterances)
    items = [attempt(place, _dialogue, piece) for piece in pieces]
    dialogues = [item for item in items if isinstance(item, Dialogue)]
    yield from dialogues
    if marks:
        kinds = ", ".join(sorted(set(marks)))
        yield Problem(
            place, f"utterances left out for {kinds}: {len(marks)}; dialogues made of the rest: {len(dialogues)}"
        )
    elif not dialogues:
        yield from items


def _utterances(value: Any) -> list[Utterance]:
    record = as_object(value, "the dialogue")
    body = [as_object(item, 'an item of "body"') for item in as_list(record.get("body"), '"body"')]
    utterances = [
        (as_text(item.get("participantID"), '"participantID"'), as_text(item.get("utterance"), '"utterance"'))
        for item in body
    ]
    participants = len({participant for participant, _ in utterances})
    if participants != 2:
        raise BadRecord(f"it has {participants} participants; only dialogues of two are read")
    return utterances


def _cut(utterances: list[Utterance]) -> tuple[list[list[Utterance]], list[str]]:
    """The pieces between utterances that hide something, and the mark of each such utterance."""
    pieces: list[list[Utterance]] = [[]]
    marks: list[str] = []
    for participant, utterance in utterances:
        text = _EMOTICON.sub(" ", _CALL.sub("", utterance))
        mark = _MARK.search(text)
        if mark:
            marks.append(mark[0])
            pieces.append([])
        else:
            pieces[-1].append((participant, text))
    return pieces, marks


def _dialogue(piece: list[Utterance]) -> Dialogue:
    roles = [Role.USER if participant == piece[0][0] else Role.BOT for participant, _ in piece]
    return make_dialogue(zip(roles, (text for _, text in piece), strict=True), source="aihub-sns")
