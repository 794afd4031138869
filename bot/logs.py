"""The log: one pipeline for our own records and the libraries', none of which may carry a secret or a person's words.

Three rules keep words out. An exception is its class and place, never its message. A library's record is its own
sentence with numbers put in, never with other values: python-telegram-bot logs whole updates when one cannot be read.
And a library never logs below INFO, where updates and statements with their values are routine.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor

from bot.errors import BotError
from model.errors import ModelError

HIDDEN = "[숨김]"

_log = logging.getLogger(__name__)

# Python's own warnings are about code, and come through logging as one value.
_OURS = ("bot", "adapters", "model", "training", "py.warnings")
# Routine to these libraries, news to nobody.
_NOISY = ("alembic", "apscheduler", "httpcore", "httpx", "sqlalchemy", "aiosqlite")
_PLACES = 8
_CAUSES = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# What a token looks like, wherever it turns up; group 1, where there is one, stays.
_TOKENS = (
    # core.telegram.org/bots/api#authorizing-your-bot; the colon may be escaped, and in a URL any length is a token.
    re.compile(r"()\d{1,20}(?::|%3A)[\w-]{30,}", re.ASCII | re.IGNORECASE),
    re.compile(r"(/bot)\d+(?::|%3A)[^/\s\"'?]+", re.IGNORECASE),
    # discord.com/developers/docs/reference#authentication: user id in base64, time, signature.
    re.compile(r"()[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}", re.ASCII),
    re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s\"'?]+"),
    re.compile(r"([?&][\w.-]*(?:token|secret|key|password|signature)=)[^&\s\"']+", re.ASCII | re.IGNORECASE),
    re.compile(r"(://)[^/\s:@]*:[^/\s@]+(?=@)"),
)


class Redactor:
    """Hides the given secrets, and everything that looks like a token."""

    def __init__(self, secrets: Sequence[str]) -> None:
        given = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""))}
        # The longest first: one may be the beginning of another.
        self._given = sorted(given, key=len, reverse=True)

    def redact(self, text: str) -> str:
        """`text` on one line, without secrets."""
        for secret in self._given:
            text = text.replace(secret, HIDDEN)
        for token in _TOKENS:
            text = token.sub(rf"\g<1>{HIDDEN}", text)
        return _CONTROL.sub(" ", text)

    def __call__(self, logger: Any, method: str, record: EventDict) -> EventDict:
        """A structlog processor: every value is a number or a redacted text afterwards."""
        return {name: self._safe(value) for name, value in record.items()}

    def _safe(self, value: object) -> object:
        return value if value is None or isinstance(value, int | float) else self.redact(str(_plain(value)))


def configure(level: str, secrets: Sequence[str], json: bool | None = None) -> None:
    """Send all records to stderr, for people, or as JSON lines; `json` None chooses by whether stderr is a terminal.

    `level` is that of our own records. `secrets` are values that are hidden wherever they appear. Also what ends the
    program or a thread goes this way. May be called again, and takes the place of all other handlers.
    """
    stream = sys.stderr
    to_terminal = stream.isatty()
    as_json = not to_terminal if json is None else json
    handler = _Handler(stream)
    handler.setFormatter(_formatter(Redactor(secrets), as_json, colors=to_terminal))
    logging.basicConfig(level=_at_least(level, "INFO"), handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(_at_least(level, "WARNING"))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            _say,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    sys.excepthook = _log_end
    threading.excepthook = _log_end_of_thread


def without_texts(error: BaseException) -> str:
    """Kind and place of an error and of its causes, innermost first, without messages, source lines or values."""
    told: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(told) < _CAUSES:
        told.append(" < ".join([_kind(seen), *_places(seen)]))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return " because of ".join(told)


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name}({', '.join(map(_kind, error.exceptions))})" if isinstance(error, BaseExceptionGroup) else name


def _places(error: BaseException) -> list[str]:
    walked = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return [
        f"{code.co_name} ({Path(code.co_filename).name}:{line})" for code, line in islice(reversed(walked), _PLACES)
    ]


def _formatter(redactor: Redactor, as_json: bool, colors: bool) -> logging.Formatter:
    render: Processor = structlog.dev.ConsoleRenderer(colors=colors)
    if as_json:
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
    before: list[Processor] = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, _say]
    after: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%Y-%m-%d %H:%M:%S", utc=as_json),
        _explain,
        redactor,
        render,
    ]
    # The sentence is put together by `_say`, which sees the values first.
    return structlog.stdlib.ProcessorFormatter(
        processors=after, foreign_pre_chain=before, use_get_message=False, pass_foreign_args=True
    )


def _say(logger: Any, method: str, record: EventDict) -> EventDict:
    """Put the values into the sentence, of a library's record the numbers only."""
    origin = record.get("_record")
    sentence = origin.msg if origin is not None else record["event"]
    values = record.pop("positional_args", None)
    ours = record["logger"].split(".")[0] in _OURS or record["logger"] in _OURS
    if not values:
        record["event"] = str(_plain(sentence)) if ours else _first_words(sentence)
        return record
    shown = _plain if ours else _number
    try:
        if isinstance(values, Mapping):
            record["event"] = str(sentence) % {name: shown(value) for name, value in values.items()}
        else:
            record["event"] = str(sentence) % tuple(shown(value) for value in values)
    except (TypeError, ValueError, KeyError):
        record["event"] = str(sentence)
    return record


def _plain(value: object) -> object:
    """`value`, but an error as its kind; ours are whole sentences made for the operator."""
    if isinstance(value, BotError | ModelError) or not isinstance(value, BaseException):
        return value
    return without_texts(value)


def _number(value: object) -> object:
    """A library's value: numbers as they are, an error's kind, else only the type."""
    if value is None or isinstance(value, int | float):
        return value
    return without_texts(value) if isinstance(value, BaseException) else f"<{type(value).__name__}>"


def _first_words(sentence: object) -> str:
    """A library's ready sentence. asyncio's go on, in more lines, with the calls and results that failed."""
    if not isinstance(sentence, str):
        return str(_number(sentence))
    first, more_lines, _ = sentence.partition("\n")
    return first.partition("(")[0] if more_lines else first


def _explain(logger: Any, method: str, record: EventDict) -> EventDict:
    """The exception as kind and place."""
    record.pop("stack_info", None)
    info = record.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        record["error"] = without_texts(error)
    return record


class _Handler(logging.StreamHandler[Any]):
    """Says where a record could not be written, without the record."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        kind = type(sys.exc_info()[1]).__name__
        # When it is the stream that fails, there is nobody to tell.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"A log record of {record.name}:{record.lineno} could not be written: {kind}\n")


def _at_least(level: str, floor: str) -> int:
    levels = logging.getLevelNamesMapping()
    return max(levels[level], levels[floor])


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Ctrl-C is nobody's error; Python sets the exit status by itself.
    if not isinstance(error, KeyboardInterrupt):
        _log.critical("The program ends by an error nobody foresaw.", exc_info=error)


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    # As threading's own hook has it: a thread may end itself.
    if ended.exc_type is not SystemExit:
        _log.critical("A thread ended by an error nobody foresaw.", exc_info=ended.exc_value)
