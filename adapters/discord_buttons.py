"""Buttons and the form below replies. What a press means is in its custom id, so that it outlives restarts."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable
from typing import Any, Protocol, Self, cast

import discord

from adapters.errors import without_texts
from bot.messages import Answer, Choice, Judgement

CUSTOM_ID_LIMIT = 100
LABEL_LIMIT = 80
ROW_LENGTH = 5
CHOICE_ROWS = 4
CORRECTION_TITLE = "이 답변 고치기"
CORRECTION_LABEL = "이렇게 답했으면 좋았을 거예요"
CORRECTION_LIMIT = 2000

_SAY = "malbeot:say:"
_CORRECT = "malbeot:correct:"
_RETRY = "retry"
_FACES = {Judgement.UP.value: "👍", Judgement.DOWN.value: "👎", _RETRY: "🔄"}

_log = logging.getLogger(__name__)

_Button = discord.ui.Button[discord.ui.View]


class Presses(Protocol):
    """Who handles presses: the client's attribute `presses`."""

    async def judged(self, interaction: discord.Interaction, judgement: Judgement, reply_id: int) -> None:
        """👍 or 👎 was pressed under a reply."""
        ...

    async def retried(self, interaction: discord.Interaction, reply_id: int) -> None:
        """🔄 was pressed under a reply."""
        ...

    async def said(self, interaction: discord.Interaction, text: str) -> None:
        """A choice was pressed."""
        ...


class HasPresses(Protocol):
    """A client, as a pressed button finds it."""

    presses: Presses


class ReplyButton(
    discord.ui.DynamicItem[_Button], template=r"malbeot:(?P<action>up|down|retry):(?P<reply>[0-9]{1,19})"
):
    """👍, 👎 or 🔄 under a reply of the model."""

    def __init__(self, action: str, reply_id: int) -> None:
        super().__init__(_Button(emoji=_FACES[action], custom_id=f"malbeot:{action}:{reply_id}", row=0))
        self._action = action
        self._reply_id = reply_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button that was pressed."""
        return cls(match["action"], int(match["reply"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Pass the press on."""
        presses = _presses(interaction)
        if self._action == _RETRY:
            await _handled(presses.retried(interaction, self._reply_id))
        else:
            await _handled(presses.judged(interaction, Judgement(self._action), self._reply_id))


class ChoiceButton(discord.ui.DynamicItem[_Button], template=rf"{_SAY}(?P<says>(?s:.+))"):
    """A button that says something for the person."""

    def __init__(self, label: str, says: str, row: int | None = None) -> None:
        super().__init__(_Button(label=label[:LABEL_LIMIT], custom_id=_SAY + says, row=row))
        self._says = says

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button that was pressed."""
        return cls(match["says"], match["says"])

    async def callback(self, interaction: discord.Interaction) -> None:
        """Pass the press on."""
        await _handled(_presses(interaction).said(interaction, self._says))


def buttons_of(answer: Answer) -> discord.ui.View | None:
    """The buttons that belong to an answer, or None."""
    view = discord.ui.View(timeout=None)
    if answer.reply_id is not None:
        for action in _FACES:
            view.add_item(ReplyButton(action, answer.reply_id))
    for place, choice in enumerate(_fitting(answer.choices)):
        view.add_item(ChoiceButton(choice.label, choice.says, row=1 + place // ROW_LENGTH))
    # The library would keep every open view for ever; presses find their way by the custom id.
    view.stop()
    return view if view.children else None


def _fitting(choices: tuple[Choice, ...]) -> list[Choice]:
    """The choices that Discord can carry. One that would say something else than it should is left out."""
    fitting = {choice.says: choice for choice in choices if 0 < len(_SAY + choice.says) <= CUSTOM_ID_LIMIT}
    kept = list(fitting.values())[: CHOICE_ROWS * ROW_LENGTH]
    if len(kept) < len(choices):
        _log.warning("%d choices of an answer do not fit on buttons.", len(choices) - len(kept))
    return kept


def correction_form(message: discord.Message) -> discord.ui.Modal:
    """The form in which a reply is written anew."""
    form = discord.ui.Modal(title=CORRECTION_TITLE, custom_id=f"{_CORRECT}{message.id}")
    form.add_item(
        discord.ui.TextInput[discord.ui.Modal](
            label=CORRECTION_LABEL,
            style=discord.TextStyle.paragraph,
            default=message.content[:CORRECTION_LIMIT],
            max_length=CORRECTION_LIMIT,
        )
    )
    # As above: what comes back is read from its custom id.
    form.stop()
    return form


def read_correction(interaction: discord.Interaction) -> tuple[str, str] | None:
    """The message's id and the text of a form that came back; None for anything else."""
    if interaction.type is not discord.InteractionType.modal_submit or interaction.data is None:
        return None
    data = cast(dict[str, Any], interaction.data)
    if not data["custom_id"].startswith(_CORRECT):
        return None
    return data["custom_id"].removeprefix(_CORRECT), _first_value(data["components"]).strip()


def _first_value(components: list[dict[str, Any]]) -> str:
    """The text of the only field; Discord wraps fields in rows or labels."""
    for component in components:
        inner = component.get("components") or ([component["component"]] if "component" in component else [])
        if "value" in component or inner:
            return str(component["value"]) if "value" in component else _first_value(inner)
    return ""


def _presses(interaction: discord.Interaction) -> Presses:
    return cast(HasPresses, interaction.client).presses


async def _handled(press: Awaitable[None]) -> None:
    """The library would log an error with its message and the button's text."""
    try:
        await press
    except Exception as error:
        _log.error("A press was not handled: %s", without_texts(error))
