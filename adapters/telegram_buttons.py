"""The buttons under answers, and what a press of one means. Pure.

All that a press needs is in the button, so that it works after a restart: `up:17`, `down:17` and `again:17` name a
reply; `say:...` holds a choice's words, `label:0` stands for those on the button, where they are longer than Telegram
lets a button carry (64 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import InlineKeyboardButtonLimit

from bot.messages import Answer, Choice, Judgement

CHOSEN = "✓"


class Action(StrEnum):
    """What a button does."""

    UP = "up"
    DOWN = "down"
    AGAIN = "again"
    SAY = "say"
    LABEL = "label"


_LABELS = {Action.UP: "👍", Action.DOWN: "👎", Action.AGAIN: "🔄 다시"}
JUDGEMENTS = {Action.UP: Judgement.UP, Action.DOWN: Judgement.DOWN}


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button's meaning: a reply that it is about, or words that it says."""

    action: Action
    reply_id: int | None = None
    says: str = ""


def keyboard(answer: Answer) -> InlineKeyboardMarkup | None:
    """The buttons of `answer`, None when it has none."""
    rows = [[_choice(choice, index)] for index, choice in enumerate(answer.choices)]
    if answer.reply_id is not None:
        rows.append(
            [InlineKeyboardButton(_LABELS[action], callback_data=f"{action}:{answer.reply_id}") for action in _LABELS]
        )
    return InlineKeyboardMarkup(rows) if rows else None


def _choice(choice: Choice, index: int) -> InlineKeyboardButton:
    data = f"{Action.SAY}:{choice.says}"
    if len(data.encode()) <= InlineKeyboardButtonLimit.MAX_CALLBACK_DATA:
        return InlineKeyboardButton(choice.label, callback_data=data)
    return InlineKeyboardButton(choice.says, callback_data=f"{Action.LABEL}:{index}")


def pressed(data: str, markup: InlineKeyboardMarkup | None) -> Pressed | None:
    """What the press of the button with `data` means, None where it means nothing.

    A modified client can send any data: what is not among the buttons in `markup`, which the message shows now, is not
    believed. Without `markup`, which Telegram does not tell of old messages, only a judgement is.
    """
    action, _, rest = data.partition(":")
    if action in JUDGEMENTS and rest.isdecimal() and (markup is None or data in _labels(markup)):
        return Pressed(Action(action), reply_id=int(rest))
    if markup is None or data not in _labels(markup):
        return None
    match action:
        case Action.AGAIN if rest.isdecimal():
            return Pressed(Action.AGAIN, reply_id=int(rest))
        case Action.SAY:
            return Pressed(Action.SAY, says=rest)
        case Action.LABEL:
            return Pressed(Action.LABEL, says=_labels(markup)[data])
    return None


def _labels(markup: InlineKeyboardMarkup) -> dict[str, str]:
    return {str(button.callback_data): button.text for row in markup.inline_keyboard for button in row}


def with_chosen(markup: InlineKeyboardMarkup, action: Action) -> InlineKeyboardMarkup:
    """The same buttons, the judgement that was chosen marked."""
    return InlineKeyboardMarkup([[_marked(button, action) for button in row] for row in markup.inline_keyboard])


def _marked(button: InlineKeyboardButton, chosen: Action) -> InlineKeyboardButton:
    action = _action(button)
    if action not in JUDGEMENTS:
        return button
    label = _LABELS[Action(action)]
    return InlineKeyboardButton(f"{label} {CHOSEN}" if action == chosen else label, callback_data=button.callback_data)


def without_choices(markup: InlineKeyboardMarkup) -> InlineKeyboardMarkup | None:
    """The buttons that are about the reply; None when there were only choices."""
    rows = [row for row in markup.inline_keyboard if all(_action(button) in _LABELS for button in row)]
    return InlineKeyboardMarkup(rows) if rows else None


def _action(button: InlineKeyboardButton) -> str:
    return str(button.callback_data).partition(":")[0]
