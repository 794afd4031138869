"""The content of an export: all rules together, from shared exchanges to the records of its files. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bot.messages import Judgement
from bot.store.sharing import SharedExchange
from model.dialogue import Role, Turn
from model.speech_level import majority_level
from training.export_dialogues import Draft, Opinion, drafts_of, is_held_out, opinions_of, segments
from training.export_files import Record
from training.export_rarity import NearDuplicates, most_of_one_person, repeated_secrets
from training.export_texts import cleaned, is_learnable, masked, why_unfit


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What may be in an export.

    `k`: how many people must have written a proper noun, or a long run of words that is repeated. `user_share` is how
    much of an export one person may be, `user_floor` how many targets everyone may have all the same: below some
    20 people only the floor leaves anything, and a small bot learns from few. `discord_permission` names Discord's
    written permission; without it nothing said there is read.
    """

    retention_days: float = 30.0
    k: int = 5
    near_duplicates: int = 2
    user_share: float = 0.05
    user_floor: int = 200
    discord_permission: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into the files, the ids of the turns in them, and how much was left out for which reason."""

    dialogues: list[Record]
    held_out: list[Record]
    preferences: list[Record]
    turn_ids: frozenset[int]
    dropped: dict[str, int]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.dialogues or self.held_out or self.preferences)


def prepare(shared: Sequence[SharedExchange], options: ExportOptions) -> Content:
    """The content of an export of these exchanges, of everybody. Raises bot.safety.names.TaggerMissing."""
    dropped: Counter[str] = Counter()
    exchanges = [_with_fit_correction(cleaned(exchange)) for exchange in shared]
    excluded = {each.said_id: reason for each in exchanges if (reason := _why_out(each)) is not None}
    fit = masked([each for each in exchanges if each.said_id not in excluded], options.k)
    excluded |= dict.fromkeys(repeated_secrets(fit, options.k), "repeated, known to few")
    dropped.update(excluded.values())
    by_id = {each.said_id: each for each in fit}
    # What is excluded stays in its place, only to cut there.
    parts = segments([by_id.get(each.said_id, each) for each in exchanges], excluded.keys())
    texts = dict.fromkeys(text for part in parts for each in part.exchanges for text in _replies(each))
    learnable = {text for text in texts if is_learnable(text)}
    dropped["replies not fit to be learnt"] = len(texts) - len(learnable)
    drafts = [draft for part in parts for draft in drafts_of(part, learnable)]
    drafts = _within_shares(_without_duplicates(drafts, options, dropped), options, dropped)
    opinions = [each for part in parts for each in opinions_of(part, learnable) if not is_held_out(each.session)]
    opinions = _opinions_within_shares(opinions, options, dropped)
    return Content(
        dialogues=[_record(draft) for draft in drafts if not is_held_out(draft.session)],
        held_out=[_record(draft) for draft in drafts if is_held_out(draft.session)],
        preferences=[_preference(opinion) for opinion in opinions],
        turn_ids=frozenset(
            [turn_id for draft in drafts for turn_id in draft.turn_ids]
            + [turn_id for opinion in opinions for turn_id in opinion.turn_ids]
        ),
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
    )


def _with_fit_correction(exchange: SharedExchange) -> SharedExchange:
    """Without a correction that nobody should learn; that the reply was not good remains."""
    if exchange.correction is None or why_unfit(exchange.correction) is None:
        return exchange
    return replace(exchange, correction=None, judgement=Judgement.DOWN)


def _why_out(exchange: SharedExchange) -> str | None:
    if not exchange.said or not exchange.replied:
        return "empty"
    if exchange.persona is not None and not exchange.is_private:
        return "persona by somebody in a group"
    texts = (exchange.said, exchange.replied, *(exchange.persona or ()))
    return next((reason for text in texts if (reason := why_unfit(text)) is not None), None)


def _replies(exchange: SharedExchange) -> tuple[str, ...]:
    return (exchange.replied,) if exchange.correction is None else (exchange.replied, exchange.correction)


def _without_duplicates(drafts: Iterable[Draft], options: ExportOptions, dropped: Counter[str]) -> list[Draft]:
    """The dialogues with only the first targets of those that say nearly the same; corrections are the first of all."""
    near = NearDuplicates(options.near_duplicates)
    kept: list[Draft] = []
    for draft in sorted(drafts, key=lambda draft: (not draft.is_gold, draft.at, draft.id)):
        targets = tuple(index for index in draft.targets if near.admit(draft.turns[index].text))
        dropped["near duplicates"] += len(draft.targets) - len(targets)
        kept.append(replace(draft, targets=targets))
    return _with_targets(kept, dropped)


def _within_shares(drafts: Sequence[Draft], options: ExportOptions, dropped: Counter[str]) -> list[Draft]:
    """The dialogues with no more targets of one person than they may have: corrections, then the newest."""
    counts = Counter(draft.person for draft in drafts for _ in draft.targets)
    limit = most_of_one_person(counts, options.user_share, options.user_floor)
    left = dict.fromkeys(counts, limit)
    kept: list[Draft] = []
    for draft in sorted(drafts, key=lambda draft: (draft.is_gold, draft.at, draft.id), reverse=True):
        targets = draft.targets[max(0, len(draft.targets) - left[draft.person]) :]
        left[draft.person] -= len(targets)
        dropped["beyond one person's share"] += len(draft.targets) - len(targets)
        kept.append(replace(draft, targets=targets))
    return sorted(_with_targets(kept, dropped), key=lambda draft: draft.id)


def _opinions_within_shares(
    opinions: Sequence[Opinion], options: ExportOptions, dropped: Counter[str]
) -> list[Opinion]:
    counts = Counter(opinion.person for opinion in opinions)
    limit = most_of_one_person(counts, options.user_share, options.user_floor)
    taken: Counter[str] = Counter()
    kept: list[Opinion] = []
    for opinion in sorted(opinions, key=lambda opinion: (opinion.at, opinion.id), reverse=True):
        taken[opinion.person] += 1
        if taken[opinion.person] <= limit:
            kept.append(opinion)
    dropped["opinions beyond one person's share"] += len(opinions) - len(kept)
    return sorted(kept, key=lambda opinion: opinion.id)


def _with_targets(drafts: Sequence[Draft], dropped: Counter[str]) -> list[Draft]:
    kept = [draft for draft in drafts if draft.targets]
    dropped["dialogues with nothing to learn"] += len(drafts) - len(kept)
    return kept


def _record(draft: Draft) -> Record:
    return {
        "id": draft.id,
        "person": draft.person,
        "persona": list(draft.persona),
        "speech": _level(turn.text for turn in draft.turns if turn.role is Role.BOT),
        "turns": _turns(draft.turns),
        "targets": list(draft.targets),
    }


def _preference(opinion: Opinion) -> Record:
    said = [turn.text for turn in opinion.turns if turn.role is Role.BOT]
    return {
        "id": opinion.id,
        "person": opinion.person,
        "persona": list(opinion.persona),
        "speech": _level([*said, opinion.reply]),
        "turns": _turns(opinion.turns),
        "reply": opinion.reply,
        "label": opinion.label,
    }


def _level(replies: Iterable[str]) -> str | None:
    level = majority_level(replies)
    return None if level is None else level.value


def _turns(turns: Sequence[Turn]) -> list[Record]:
    return [{"speaker": turn.role.value, "text": turn.text} for turn in turns]
