"""Answering a slash command, or a press where the bot is no member: through the interaction's own token."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import discord

from adapters.discord_errors import REQUEST_ERRORS, insist, token_gone
from adapters.discord_incoming import Hook
from adapters.discord_surface import TEXT_LIMIT, ChannelSurface, Drafts, Piece, edit_fields, pieces_of
from adapters.text_limits import split_text
from bot.messages import Answer, Attachment

# Where only the person has installed the bot, an interaction takes no more follow-ups than this.
FOLLOW_UPS = 5
WHOLE_ANSWER = "답변.txt"

# Discord's own name of the message that an interaction was first answered with; the library takes numbers only.
_ORIGINAL: Any = "@original"

_log = logging.getLogger(__name__)

T = TypeVar("T")


class _TokenGone(Exception):
    """The interaction can no longer be answered."""


class HookSurface:
    """Answers one interaction that was deferred; `channel` takes over when its token has expired.

    The first message is an edit and comes once at most. Discord has no nonce for further ones: after a crash between
    them, those of an answer longer than a message may come twice.
    """

    def __init__(self, client: discord.Client, hook: Hook, channel: ChannelSurface) -> None:
        self._hook = hook
        self._channel = channel
        self._webhook = discord.Webhook.partial(hook.application_id, hook.token, client=client)
        self._webhook.type = discord.WebhookType.application
        self._drafts = Drafts()

    async def typing(self) -> None:
        """Nothing: Discord shows that an answer is being made until it comes."""

    async def draft(self, text: str) -> None:
        """Show the beginning of the answer in its place."""
        if (due := self._drafts.due(text)) is not None:
            await self._preview(due)

    async def notice(self, text: str) -> None:
        """Shown in the place of the answer until that comes; a message of its own would be taken for it."""
        for piece in split_text(text, TEXT_LIMIT)[:1]:
            await self._preview(piece)

    async def send(self, answer: Answer) -> Sequence[str]:
        """Show the answer. Raises Undeliverable, and discord.HTTPException where Discord refuses the text."""
        if time.time() < self._hook.expires_at:
            try:
                return await self._send_here(answer)
            except _TokenGone:
                _log.info("An interaction expired before its answer was ready.")
        if self._hook.present:
            return await self._channel.send(answer)
        return await self._channel.send_directly(answer)

    async def _send_here(self, answer: Answer) -> Sequence[str]:
        if answer.replaces and self._hook.present and not answer.private:
            shown = await self._channel.send(answer)
            await self._drop_original()
            return shown
        pieces = _few(answer)
        if answer.private and not self._hook.ephemeral:
            # What everybody can see already cannot become private any more.
            await self._drop_original()
            return [await self._follow_up(piece, ephemeral=True) for piece in pieces]
        first = [await self._edit_original(piece) for piece in pieces[:1]]
        return first + [await self._follow_up(piece, self._hook.ephemeral) for piece in pieces[1:]]

    async def _edit_original(self, piece: Piece) -> str:
        try:
            message = await self._ask(lambda: self._webhook.edit_message(_ORIGINAL, **edit_fields(piece)))
        except discord.NotFound:
            # The person has closed it.
            return await self._follow_up(piece, self._hook.ephemeral)
        return str(message.id)

    async def _follow_up(self, piece: Piece, ephemeral: bool) -> str:
        fields: dict[str, Any] = {} if piece.view is None else {"view": piece.view}

        async def post() -> discord.WebhookMessage:
            return await self._webhook.send(piece.text, files=piece.files(), ephemeral=ephemeral, wait=True, **fields)

        return str((await self._ask(post)).id)

    async def _drop_original(self) -> None:
        try:
            await self._ask(lambda: self._webhook.delete_message(_ORIGINAL))
        except discord.NotFound:
            return

    async def _preview(self, text: str) -> None:
        try:
            await self._webhook.edit_message(_ORIGINAL, content=text)
        except REQUEST_ERRORS as error:
            _log.debug("A draft was not shown: %s", type(error).__name__)

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T:
        try:
            return await insist(request)
        except discord.HTTPException as error:
            if token_gone(error):
                raise _TokenGone from error
            raise


def _few(answer: Answer) -> list[Piece]:
    """The pieces of an answer; a very long one as its beginning and a file."""
    pieces = pieces_of(answer)
    if len(pieces) <= 1 + FOLLOW_UPS:
        return pieces
    return [Piece(pieces[0].text, pieces[-1].view, answer.attachment or Attachment(WHOLE_ANSWER, answer.text))]
