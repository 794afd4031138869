"""From the exchanges that people share to dialogues with what may be learnt of them. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from bot.messages import Judgement
from bot.store.sharing import SharedExchange
from model.dialogue import DEFAULT_PERSONA, Role, Source, Turn

# Whoever comes back later than this begins another conversation.
PAUSE = timedelta(hours=6)
HELD_OUT_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Draft:
    """A dialogue that may go into an export.

    `targets` are the indices of the bot turns that may be learnt. `session` is the id of the conversation it is cut
    from. `at` is when its newest exchange was. `is_gold` says that its last turn is a person's own correction.
    `turn_ids` are the stored turns it is made of.
    """

    id: str
    session: str
    person: str
    persona: tuple[str, ...]
    turns: tuple[Turn, ...]
    targets: tuple[int, ...]
    at: datetime
    turn_ids: tuple[int, ...]
    is_gold: bool = False


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a person thinks of a reply to `turns`, which end with their own."""

    id: str
    session: str
    person: str
    persona: tuple[str, ...]
    turns: tuple[Turn, ...]
    reply: str
    label: bool
    at: datetime
    turn_ids: tuple[int, ...]


def is_held_out(session: str) -> bool:
    """Whether a conversation is for measuring alone; all parts of it are, or none."""
    return int(session[:8], 16) % 100 < HELD_OUT_PERCENT


@dataclass(frozen=True, slots=True)
class Segment:
    """Exchanges of one person that follow on each other."""

    session: str
    number: int
    exchanges: tuple[SharedExchange, ...]


def segments(exchanges: Sequence[SharedExchange], excluded: Collection[int]) -> list[Segment]:
    """Conversations, cut at long pauses and where an exchange is `excluded` (by its `said_id`).

    An excluded exchange cuts, as what follows it would be an answer to nothing.
    """
    by_chat: defaultdict[tuple[str, int], list[SharedExchange]] = defaultdict(list)
    for exchange in sorted(exchanges, key=lambda exchange: exchange.said_id):
        by_chat[exchange.person, exchange.conversation_id].append(exchange)
    found: list[Segment] = []
    for chat in sorted(by_chat):
        for session in _sessions(by_chat[chat]):
            name = _hash(session[0].person, session[0].said_id)
            runs = [list(run) for out, run in groupby(session, lambda each: each.said_id in excluded) if not out]
            found += [Segment(name, number, tuple(run)) for number, run in enumerate(runs)]
    return found


def _sessions(exchanges: Sequence[SharedExchange]) -> Iterator[list[SharedExchange]]:
    session: list[SharedExchange] = []
    for exchange in exchanges:
        if session and exchange.at - session[-1].at > PAUSE:
            yield session
            session = []
        session.append(exchange)
    if session:
        yield session


def drafts_of(segment: Segment, learnable: Collection[str]) -> list[Draft]:
    """The dialogue of a segment, and one more for each correction, which ends it.

    A reply may be learnt when its person liked it, or had no objection and went on talking; a line written for when
    nothing else may be said never is. `learnable` are the texts that are fit to be learnt at all.
    """
    exchanges = segment.exchanges
    turns = _turns(exchanges)
    targets = tuple(
        2 * index + 1
        for index, exchange in enumerate(exchanges)
        if _is_target(exchange, index + 1 < len(exchanges)) and exchange.replied in learnable
    )
    whole = Draft(
        id=_hash(segment.session, segment.number),
        session=segment.session,
        person=exchanges[0].person,
        persona=exchanges[0].persona or DEFAULT_PERSONA,
        turns=turns,
        targets=targets,
        at=exchanges[-1].at,
        turn_ids=_turn_ids(exchanges),
    )
    gold = [
        Draft(
            id=_hash(segment.session, segment.number, exchange.said_id),
            session=segment.session,
            person=whole.person,
            persona=whole.persona,
            turns=(*turns[: 2 * index + 1], Turn(Role.BOT, exchange.correction)),
            targets=(2 * index + 1,),
            at=exchange.at,
            turn_ids=_turn_ids(exchanges[: index + 1]),
            is_gold=True,
        )
        for index, exchange in enumerate(exchanges)
        if exchange.correction is not None and exchange.correction in learnable
    ]
    return [whole, *gold]


def _is_target(exchange: SharedExchange, went_on: bool) -> bool:
    if exchange.source is Source.FIXED or exchange.correction is not None:
        return False
    return exchange.judgement is Judgement.UP or (exchange.judgement is None and went_on)


def opinions_of(segment: Segment, learnable: Collection[str]) -> list[Opinion]:
    """What was liked and disliked; of a corrected reply the correction is liked and what it corrects is not."""
    turns = _turns(segment.exchanges)
    found: list[Opinion] = []
    for index, exchange in enumerate(segment.exchanges):
        for reply, label in _labels(exchange):
            if reply in learnable:
                first = segment.exchanges[0]
                found.append(
                    Opinion(
                        id=_hash(segment.session, segment.number, exchange.said_id, label),
                        session=segment.session,
                        person=first.person,
                        persona=first.persona or DEFAULT_PERSONA,
                        turns=turns[: 2 * index + 1],
                        reply=reply,
                        label=label,
                        at=exchange.at,
                        turn_ids=_turn_ids(segment.exchanges[: index + 1]),
                    )
                )
    return found


def _labels(exchange: SharedExchange) -> list[tuple[str, bool]]:
    if exchange.correction is not None:
        return [(exchange.replied, False), (exchange.correction, True)]
    if exchange.judgement is None or exchange.source is Source.FIXED:
        return []
    return [(exchange.replied, exchange.judgement is Judgement.UP)]


def _turns(exchanges: Sequence[SharedExchange]) -> tuple[Turn, ...]:
    return tuple(
        turn for exchange in exchanges for turn in (Turn(Role.USER, exchange.said), Turn(Role.BOT, exchange.replied))
    )


def _turn_ids(exchanges: Sequence[SharedExchange]) -> tuple[int, ...]:
    return tuple(turn_id for exchange in exchanges for turn_id in (exchange.said_id, exchange.replied_id))


def _hash(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]
