"""Telegram: long polling, private chats, and groups where the bot is spoken to."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import timedelta

from telegram import Bot, Message, MessageEntity, ReplyParameters, Update, User
from telegram.constants import ChatAction, ChatType, MessageLimit
from telegram.error import BadRequest, Conflict, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.ext import Application, ApplicationBuilder, ContextTypes, MessageHandler, Updater, filters

from adapters.answering import Answering, Handle, pause
from adapters.errors import BadToken
from adapters.text_limits import split_text
from bot.messages import ConversationKey, IncomingMessage

PLATFORM = "telegram"
BAD_TOKEN = "텔레그램이 TELEGRAM_TOKEN을 모른다고 해요. @BotFather에게서 받은 토큰을 .env에 다시 적어 주세요."

_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_SEND_TRIES, _SEND_DELAY = 4, 1.0
# Telegram may ask a bot it holds for a spammer to wait for hours; nobody waits for that answer any more.
_LONGEST_FLOOD_WAIT = 120.0

_log = logging.getLogger(__name__)


async def serve(token: str, handle: Handle, stop: asyncio.Event, api_url: str | None = None) -> None:
    """Answer messages until `stop`, then finish what is being answered.

    `api_url` is the Bot API server, by default Telegram's own; while it cannot be reached at the start, tries again.
    Raises BadToken.
    """
    # Its INFO lines hold the address of each call, and with it the token.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if not _TOKEN.fullmatch(token):
        raise BadToken(BAD_TOKEN)
    builder = ApplicationBuilder().token(token).job_queue(None)
    if api_url is not None:
        builder = builder.base_url(f"{api_url}/bot").base_file_url(f"{api_url}/file/bot")
    application = builder.build()
    try:
        async with Answering(handle) as answering:
            application.add_handler(_message_handler(application.bot, answering))
            await _poll(application, _updater(application), stop)
    except InvalidToken:
        # Without its cause, which quotes the token.
        raise BadToken(BAD_TOKEN) from None
    finally:
        await application.shutdown()
        # The application only does this where it was initialized to the end.
        await application.bot.shutdown()


def _message_handler(bot: Bot, answering: Answering) -> MessageHandler[ContextTypes.DEFAULT_TYPE, None]:
    async def receive(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        # Only starts the answer: updates are taken one by one, so that their order is kept, but none is waited for.
        if (message := update.message) and (incoming := to_incoming(message, bot.bot)):
            surface = TelegramSurface(bot, message)
            answering.start(incoming, surface, surface.type_once)

    return MessageHandler(filters.UpdateType.MESSAGE & filters.TEXT, receive)


def _updater(application: Application) -> Updater:  # type: ignore[type-arg]
    assert application.updater is not None, "the builder makes one unless told otherwise"
    return application.updater


async def _poll(application: Application, updater: Updater, stop: asyncio.Event) -> None:  # type: ignore[type-arg]
    try:
        await _start(application, updater, stop)
        await stop.wait()
    finally:
        try:
            if updater.running:
                await updater.stop()
        finally:
            if application.running:
                # Hands over what was received and not yet started.
                await application.stop()


async def _start(application: Application, updater: Updater, stop: asyncio.Event) -> None:  # type: ignore[type-arg]
    delay = _FIRST_DELAY
    while not stop.is_set():
        try:
            await application.initialize()
            await updater.start_polling(allowed_updates=[Update.MESSAGE], error_callback=_log_polling_error)
            return await application.start()
        except InvalidToken:
            raise
        except TelegramError as error:
            _log.warning("Telegram cannot be reached (%s); trying again in %.0f s.", error, delay)
        await pause(stop, delay)
        delay = min(2 * delay, _LONGEST_DELAY)
    return None


def _log_polling_error(error: TelegramError) -> None:
    if isinstance(error, Conflict):
        _log.error("Another program polls Telegram with the same token; stop one of the two.")
    else:
        _log.warning("Telegram could not be asked for messages (%s); trying again.", error)


def to_incoming(message: Message, bot: User) -> IncomingMessage | None:
    """What the bot has to answer, or None: talk in a group that is not for it, or another bot's message."""
    author, text = message.from_user, message.text
    # A person who writes as an anonymous admin or as a channel looks like a bot, but has a sender_chat.
    if author is None or text is None or (author.is_bot and message.sender_chat is None):
        return None
    is_group = message.chat.type != ChatType.PRIVATE
    if is_group and not _is_addressed(message, bot):
        return None
    return IncomingMessage(
        key=ConversationKey(PLATFORM, str(message.chat.id), str(_topic(message) or "")),
        message_id=str(message.message_id),
        user_id=str(author.id),
        user_name=author.full_name,
        text=_without_mention(text, bot) if is_group else text,
        sent_at=message.date,
        is_group=is_group,
    )


def _topic(message: Message) -> int | None:
    """The topic of a forum or private chat. In other groups a thread id only names a chain of replies."""
    return message.message_thread_id if message.is_topic_message else None


def _is_addressed(message: Message, bot: User) -> bool:
    replied = message.reply_to_message
    if replied and replied.from_user and replied.from_user.id == bot.id:
        return True
    name = f"@{bot.username}".casefold()
    for entity, text in message.parse_entities().items():
        match entity.type:
            case MessageEntity.MENTION if text.casefold() == name:
                return True
            case MessageEntity.BOT_COMMAND if text.casefold().endswith(name):
                return True
            case MessageEntity.TEXT_MENTION if entity.user and entity.user.id == bot.id:
                return True
    return False


def _without_mention(text: str, bot: User) -> str:
    """The text without @name, also behind a command; a Korean particle may follow the name."""
    return re.sub(rf"@{bot.username}(?![A-Za-z0-9_])", "", text, flags=re.IGNORECASE | re.ASCII).strip()


class TelegramSurface:
    """Answers one message, in its chat and topic; in a group as a reply, so that it is clear to whom."""

    def __init__(self, bot: Bot, message: Message) -> None:
        self._bot = bot
        self._chat_id = message.chat.id
        self._topic = _topic(message)
        self._reply_to = (
            None
            if message.chat.type == ChatType.PRIVATE
            else ReplyParameters(message.message_id, allow_sending_without_reply=True)
        )

    async def draft(self, text: str) -> None:
        """Nothing yet: the typing sign shows that an answer is being made."""

    async def send(self, text: str) -> None:
        """Send the answer, in several messages where it is longer than Telegram takes. Raises TelegramError."""
        for index, piece in enumerate(split_text(text, MessageLimit.MAX_TEXT_LENGTH)):
            await self._deliver(piece, self._reply_to if index == 0 else None)

    async def _deliver(self, text: str, reply_to: ReplyParameters | None) -> None:
        for left in reversed(range(_SEND_TRIES)):
            try:
                await self._bot.send_message(
                    self._chat_id, text, message_thread_id=self._topic, reply_parameters=reply_to
                )
                return
            except TelegramError as error:
                wait = wait_before_repeating(error)
                if wait is None or not left:
                    raise
            await asyncio.sleep(wait)

    async def type_once(self) -> None:
        """Show the typing sign for five seconds."""
        await self._bot.send_chat_action(self._chat_id, ChatAction.TYPING, message_thread_id=self._topic)


def wait_before_repeating(error: TelegramError) -> float | None:
    """Seconds after which a failed sending is worth repeating, None where it is not.

    When the network fails nobody knows whether the message arrived: one that comes twice is better than none.
    """
    match error:
        case RetryAfter():
            asked = error.retry_after
            seconds = asked.total_seconds() if isinstance(asked, timedelta) else asked
            return seconds if seconds <= _LONGEST_FLOOD_WAIT else None
        case BadRequest():
            return None  # a NetworkError to the library, but the same again would be as bad
        case NetworkError():
            return _SEND_DELAY
    return None
