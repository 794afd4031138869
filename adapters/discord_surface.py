"""Answering in a channel: one final answer, created once however often that is tried."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import discord

from adapters.discord_buttons import buttons_of
from adapters.discord_errors import CANNOT_REPLY, REQUEST_ERRORS, UNKNOWN_MESSAGE, insist
from adapters.discord_incoming import Address
from adapters.text_limits import split_text
from bot.messages import Answer, Attachment, IncomingMessage, Kind, Undeliverable

TEXT_LIMIT = 2000
DRAFT_SECONDS = 1.0
PRIVATE_HINT = "이 답은 다른 분께 보이지 않게 드리고 싶은데 DM을 보낼 수 없어요. 빗금(/) 명령으로 다시 불러 주세요."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """What fits in one message."""

    text: str
    view: discord.ui.View | None = None
    attachment: Attachment | None = None

    def files(self) -> list[discord.File]:
        """The attachment, readable once: made anew for every try."""
        if self.attachment is None:
            return []
        return [discord.File(io.BytesIO(self.attachment.content.encode()), self.attachment.name)]


def pieces_of(answer: Answer) -> list[Piece]:
    """An answer cut at sentence ends; the last piece carries the buttons and the file. None for a blank answer."""
    texts = split_text(answer.text, TEXT_LIMIT) or ([""] if answer.attachment else [])
    if not texts:
        return []
    return [*map(Piece, texts[:-1]), Piece(texts[-1], buttons_of(answer), answer.attachment)]


class Drafts:
    """Which of the drafts of a reply are shown: about one a second, none twice."""

    def __init__(self) -> None:
        self._shown = ""
        self._next = 0.0

    def due(self, text: str) -> str | None:
        """What to show now of a reply so far: as much as fits in a message."""
        now = asyncio.get_running_loop().time()
        pieces = split_text(text, TEXT_LIMIT)
        if not pieces or pieces[0] == self._shown or now < self._next:
            return None
        self._shown = pieces[0]
        self._next = now + DRAFT_SECONDS
        return self._shown


class Messages:
    """The messages of one answer in one channel.

    Discord drops a nonce it has seen in the last minutes and returns the message it belongs to. A message's nonce
    depends on the inbox entry and the piece only, so that a try after a crash finds what was already sent.
    """

    def __init__(self, channel: discord.abc.Messageable, nonce: str, reply_to: discord.MessageReference | None) -> None:
        self._channel = channel
        self._nonce = nonce
        self._reply_to = reply_to

    async def show(self, pieces: Sequence[Piece], known: Sequence[int] = ()) -> list[str]:
        """Make `pieces` of the messages `known`, of new ones where those do not suffice; returns all ids.

        Raises Undeliverable, and discord.HTTPException where Discord refuses the text.
        """
        shown = []
        for number, piece in enumerate(pieces):
            if number < len(known) and await self.edit(known[number], piece):
                shown.append(str(known[number]))
            elif created := await self.create(str(number), piece):
                shown.append(created)
        for message_id in known[len(pieces) :]:
            await self.delete(message_id)
        return shown

    async def create(self, part: str, piece: Piece) -> str | None:
        """Send a piece, or find it sent and correct it. None where it was sent and deleted since."""
        try:
            message = await insist(lambda: self._channel.send(**self._fields(part, piece)))
        except discord.HTTPException as error:
            if error.code == UNKNOWN_MESSAGE:
                return None
            if error.code != CANNOT_REPLY or self._reply_to is None:
                raise
            # The bot may write here but not read the history, which a reply needs.
            self._reply_to = None
            return await self.create(part, piece)
        if _differs(message, piece):
            await self.edit(message.id, piece)
        return str(message.id)

    async def edit(self, message_id: int, piece: Piece) -> bool:
        """Change a message to `piece`. False where there is no such message."""
        message = discord.PartialMessage(channel=_messageable(self._channel), id=message_id)
        try:
            await insist(lambda: message.edit(**edit_fields(piece)))
        except discord.NotFound:
            return False
        return True

    async def delete(self, message_id: int) -> None:
        """Remove a message, if it is still there."""
        message = discord.PartialMessage(channel=_messageable(self._channel), id=message_id)
        try:
            await insist(message.delete)
        except discord.NotFound:
            return

    def _fields(self, part: str, piece: Piece) -> dict[str, Any]:
        fields: dict[str, Any] = {"content": piece.text, "nonce": f"{self._nonce}-{part}"}
        if piece.view is not None:
            fields["view"] = piece.view
        if piece.attachment is not None:
            fields["files"] = piece.files()
        if self._reply_to is not None and part == "0":
            fields["reference"] = self._reply_to
        return fields


class ChannelSurface:
    """Answers one message in its channel; in a group as a reply, so that it is clear to whom."""

    def __init__(self, client: discord.Client, message: IncomingMessage, address: Address, entry_id: int) -> None:
        self._client = client
        self._message = message
        self._nonce = nonce_of(message, entry_id)
        channel_id = int(message.key.thread_id or message.key.chat_id)
        self._channel = client.get_partial_messageable(channel_id)
        reference = None
        if address.reply_to is not None:
            reference = discord.MessageReference(
                message_id=address.reply_to, channel_id=channel_id, fail_if_not_exists=False
            )
        self._messages = Messages(self._channel, self._nonce, reference)
        self._drafts = Drafts()
        self._draft: str | None = None
        self._notices = 0
        # Other answers may take the place of earlier ones: nothing new is shown before that is known.
        self._streams = message.kind in (Kind.TEXT, Kind.MEDIA) and not message.text.startswith("/")

    async def typing(self) -> None:
        """Show the typing sign for ten seconds."""
        try:
            await self._channel.typing()
        except REQUEST_ERRORS as error:
            _log.debug("The typing sign was not shown: %s", type(error).__name__)

    async def draft(self, text: str) -> None:
        """Show the beginning of the answer; later ones and the answer itself edit the same message."""
        if not self._streams or (due := self._drafts.due(text)) is None:
            return
        try:
            if self._draft is None:
                self._draft = await self._messages.create("0", Piece(due))
            else:
                await self._channel.get_partial_message(int(self._draft)).edit(content=due)
        except (*REQUEST_ERRORS, Undeliverable) as error:
            _log.debug("A draft was not shown: %s", type(error).__name__)

    async def notice(self, text: str) -> None:
        """Say something beside the answer."""
        self._notices += 1
        try:
            for piece in split_text(text, TEXT_LIMIT)[:1]:
                await self._channel.send(piece, nonce=f"{self._nonce}-n{self._notices}")
        except REQUEST_ERRORS as error:
            _log.debug("A notice was not shown: %s", type(error).__name__)

    async def send(self, answer: Answer) -> Sequence[str]:
        """Show the answer. Raises Undeliverable, and discord.HTTPException where Discord refuses the text."""
        if answer.private and self._message.is_group:
            return await self._send_unseen(answer)
        known = [int(number) for number in answer.replaces]
        if not known and self._draft is not None:
            known = [int(self._draft)]
        return await self._messages.show(pieces_of(answer), known)

    async def send_directly(self, answer: Answer) -> Sequence[str]:
        """Show the answer in a direct message to the asker. Raises Undeliverable where that is not allowed."""
        channel = await insist(lambda: self._client.create_dm(discord.Object(int(self._message.user_id))))
        return await Messages(channel, self._nonce, None).show(pieces_of(answer))

    async def _send_unseen(self, answer: Answer) -> Sequence[str]:
        try:
            return await self.send_directly(answer)
        except Undeliverable:
            return await self._messages.show([Piece(PRIVATE_HINT)])


def nonce_of(message: IncomingMessage, entry_id: int) -> str:
    """18 characters, the same at every try. Another database counts its entries anew: so the event is in it too."""
    return hashlib.blake2b(f"{entry_id} {message.event_id}".encode(), digest_size=9).hexdigest()


def edit_fields(piece: Piece) -> dict[str, Any]:
    """What makes a message `piece`, whatever it was."""
    fields: dict[str, Any] = {"content": piece.text, "view": piece.view}
    if piece.attachment is not None:
        fields["attachments"] = piece.files()
    return fields


def _differs(message: discord.Message, piece: Piece) -> bool:
    """Whether a message is an earlier draft of `piece`."""
    return (
        message.content != piece.text
        or bool(message.components) != (piece.view is not None)
        or bool(message.attachments) != (piece.attachment is not None)
    )


def _messageable(channel: discord.abc.Messageable) -> discord.PartialMessageable | discord.DMChannel:
    assert isinstance(channel, discord.PartialMessageable | discord.DMChannel)
    return channel
