"""Named errors of the platforms. Every message is for the person who runs the bot: Korean, and it says what to do."""

from __future__ import annotations

import traceback


class AdapterError(Exception):
    """Base of the errors below: show its text to a person, it is a whole sentence."""


class BadToken(AdapterError):
    """The platform does not know this token."""


class ConnectionDenied(AdapterError):
    """The platform knows the bot and still refuses to talk with it."""


def without_texts(error: BaseException) -> str:
    """Kind and place of an error for the log, without its message, which may quote what a person wrote."""
    places = traceback.extract_tb(error.__traceback__)
    return " < ".join([type(error).__name__, *(f"{place.name}:{place.lineno}" for place in reversed(places))])
