"""Messages and answers as encrypted JSON, for the inbox's columns."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from bot.messages import Answer, Attachment, Choice, ConversationKey, IncomingMessage, Kind
from bot.store.cipher import Cipher

# Associated data of the cipher: a field can be read back only as the column it was written for.
_MESSAGE, _ANSWER = "inbox.message", "inbox.answer"


def message_to_blob(cipher: Cipher, message: IncomingMessage) -> bytes:
    """The message for `message_from_blob`."""
    fields = asdict(message) | {"sent_at": message.sent_at.isoformat()}
    return cipher.encrypt(json.dumps(fields, ensure_ascii=False), _MESSAGE)


def message_from_blob(cipher: Cipher, blob: bytes) -> IncomingMessage:
    """The message as it was. Raises WrongKey."""
    fields = json.loads(cipher.decrypt(blob, _MESSAGE))
    key, kind, sent_at = (
        ConversationKey(**fields["key"]),
        Kind(fields["kind"]),
        datetime.fromisoformat(fields["sent_at"]),
    )
    return IncomingMessage(**fields | {"key": key, "kind": kind, "sent_at": sent_at})


def answer_to_blob(cipher: Cipher, answer: Answer) -> bytes:
    """The answer for `answer_from_blob`."""
    return cipher.encrypt(json.dumps(asdict(answer), ensure_ascii=False), _ANSWER)


def answer_from_blob(cipher: Cipher, blob: bytes) -> Answer:
    """The answer as it was. Raises WrongKey."""
    fields = json.loads(cipher.decrypt(blob, _ANSWER))
    choices = tuple(Choice(**choice) for choice in fields["choices"])
    attachment = fields["attachment"] and Attachment(**fields["attachment"])
    return Answer(**fields | {"choices": choices, "attachment": attachment, "replaces": tuple(fields["replaces"])})
