"""What people do with commands, buttons, forms and reactions, acknowledged before anything else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import discord

from adapters.discord_buttons import correction_form, read_correction
from adapters.discord_errors import ALREADY_ACKNOWLEDGED, REQUEST_ERRORS
from adapters.discord_incoming import (
    Address,
    Place,
    from_interaction,
    hook_of,
    is_present,
    needs_manager,
    place_of_interaction,
)
from adapters.discord_intake import Intake
from adapters.errors import without_texts
from bot.messages import Feedback, IncomingMessage, Judgement, Kind, Reception

THANKS_UP = "고마워요! 이런 답을 더 해 볼게요."
THANKS_DOWN = "알려 줘서 고마워요. 더 나은 답을 하도록 새겨 둘게요."
THANKS_CORRECTION = "고마워요! 이렇게 답하는 법을 배워 볼게요."
UNKNOWN_REPLY = "이 답은 이제 제 기억에 없어서 남겨 두지 못했어요."
NOT_MINE = "제가 한 답변만 고칠 수 있어요."
NOT_STORED = "지금은 남겨 두지 못했어요. 조금 뒤에 다시 해 주세요."
NOT_ALLOWED = "서버에서는 채널을 관리할 수 있는 분만 바꿀 수 있어요. 저와 둘이 나누는 DM에서는 마음대로 바꾸셔도 돼요."

_ACKNOWLEDGE_TRIES = 3
_STORE_TRIES, _STORE_DELAY = 4, 0.5

_log = logging.getLogger(__name__)


class InteractionPresses:
    """Turns interactions into messages for `intake` and judgements for `reception`."""

    def __init__(self, reception: Reception, intake: Intake, private_commands: frozenset[str]) -> None:
        self._reception = reception
        self._intake = intake
        self._private_commands = private_commands

    async def commanded(self, interaction: discord.Interaction, name: str, argument: str) -> None:
        """A slash command: said in the conversation as text."""
        text = f"/{name} {argument}".strip()
        if not _allowed(interaction, text):
            await _tell(interaction, NOT_ALLOWED)
            return
        private = name in self._private_commands
        await _acknowledge(lambda: interaction.response.defer(ephemeral=private))
        self._accept(interaction, text, Address(hook=hook_of(interaction, ephemeral=private)))

    async def said(self, interaction: discord.Interaction, text: str) -> None:
        """A choice: said in the conversation as text."""
        if not _allowed(interaction, text):
            await _tell(interaction, NOT_ALLOWED)
            return
        await self._press(interaction, text, Kind.TEXT)

    async def retried(self, interaction: discord.Interaction, reply_id: int) -> None:
        """Another answer is wanted."""
        await self._press(interaction, "", Kind.RETRY, about=reply_id)

    async def judged(self, interaction: discord.Interaction, judgement: Judgement, reply_id: int) -> None:
        """👍 or 👎 under a reply."""
        await _acknowledge(interaction.response.defer)
        place = place_of_interaction(interaction)
        if place is None or interaction.message is None:
            return
        feedback = Feedback(
            place.key, str(interaction.user.id), judgement, reply_id=reply_id, message_id=str(interaction.message.id)
        )
        known = await self._judge(feedback)
        thanks = THANKS_UP if judgement is Judgement.UP else THANKS_DOWN
        await _follow_up(interaction, _said_of(known, thanks))

    async def offer_correction(self, interaction: discord.Interaction, message: discord.Message) -> None:
        """Show the form in which a reply of the bot is written anew."""
        user = interaction.client.user
        if user is None or message.author.id != user.id:
            await _tell(interaction, NOT_MINE)
            return
        await _acknowledge(lambda: interaction.response.send_modal(correction_form(message)))

    async def form_returned(self, interaction: discord.Interaction) -> None:
        """Store what was written in the form; anything else is not looked at."""
        correction = read_correction(interaction)
        if correction is None:
            return
        await _acknowledge(lambda: interaction.response.defer(ephemeral=True, thinking=True))
        message_id, text = correction
        place = place_of_interaction(interaction)
        if place is None or not text:
            await interaction.edit_original_response(content=NOT_STORED)
            return
        feedback = Feedback(
            place.key, str(interaction.user.id), Judgement.CORRECTION, message_id=message_id, correction=text
        )
        await interaction.edit_original_response(content=_said_of(await self._judge(feedback), THANKS_CORRECTION))

    async def reacted(self, place: Place, user_id: int, message_id: int, judgement: Judgement) -> None:
        """👍 or 👎 as a reaction to a message of the bot."""
        await self._judge(Feedback(place.key, str(user_id), judgement, message_id=str(message_id)))

    async def _press(self, interaction: discord.Interaction, text: str, kind: Kind, about: int | None = None) -> None:
        """A button that asks for an answer. Where the bot is no member, that goes through the press itself."""
        address = Address(reply_to=interaction.message.id if interaction.message is not None else None)
        # A retry changes the message with the button, a choice is answered by a new one.
        thinking = not is_present(interaction) and kind is not Kind.RETRY
        await _acknowledge(lambda: interaction.response.defer(thinking=thinking))
        if not is_present(interaction):
            address = Address(hook=hook_of(interaction, ephemeral=False))
        self._accept(interaction, text, address, kind, about)

    def _accept(
        self,
        interaction: discord.Interaction,
        text: str,
        address: Address,
        kind: Kind = Kind.TEXT,
        about: int | None = None,
    ) -> None:
        place = place_of_interaction(interaction)
        if place is None or interaction.channel_id is None:
            _log.warning("An interaction came from a channel of an unknown kind.")
            return
        message = from_interaction(interaction, place, text, address, kind, about)

        async def make() -> IncomingMessage:
            return message

        self._intake.accept(interaction.channel_id, make)

    async def _judge(self, feedback: Feedback) -> bool | None:
        """Whether the reply is known; None where nothing could be stored."""
        for tried in range(_STORE_TRIES):
            try:
                return await self._reception.judge(feedback)
            except Exception as error:
                _log.error("A judgement was not stored: %s", without_texts(error))
            await asyncio.sleep(_STORE_DELAY * 2**tried)
        return None


def _allowed(interaction: discord.Interaction, text: str) -> bool:
    return not needs_manager(text, interaction.guild_id is not None) or interaction.permissions.manage_channels


def _said_of(known: bool | None, thanks: str) -> str:
    if known is None:
        return NOT_STORED
    return thanks if known else UNKNOWN_REPLY


async def _tell(interaction: discord.Interaction, text: str) -> None:
    """A line for this person alone."""
    await _acknowledge(lambda: interaction.response.send_message(text, ephemeral=True))


async def _follow_up(interaction: discord.Interaction, text: str) -> None:
    try:
        await interaction.followup.send(text, ephemeral=True)
    except REQUEST_ERRORS as error:
        _log.info("A press was not thanked for: %s", type(error).__name__)


async def _acknowledge(respond: Callable[[], Awaitable[object]]) -> None:
    """Respond within the three seconds there are.

    Where that fails the interaction is handled all the same: its answer then takes another way.
    """
    for left in reversed(range(_ACKNOWLEDGE_TRIES)):
        try:
            await respond()
            return
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED:
                _log.warning("An interaction was not acknowledged: %s (%d)", type(error).__name__, error.code)
            return
        except REQUEST_ERRORS as error:
            # The connection broke, perhaps after Discord had understood.
            if not left:
                _log.warning("An interaction was not acknowledged: %s", type(error).__name__)
