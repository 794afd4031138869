"""Named errors of this package. Every message says what to do about it."""

from __future__ import annotations


class ModelError(Exception):
    """Base of the errors below: show its text to a person, it is a whole sentence."""


class BadCheckpoint(ModelError):
    """A checkpoint folder is missing, broken, or does not fit the chat format asked for."""


class ContextTooLong(ModelError):
    """The persona alone leaves no room for a turn within the model's positions."""


class EngineBusy(ModelError):
    """The queue is full; try again in a moment."""


class EngineTimeout(ModelError):
    """The reply took longer than a request may."""


class EngineClosed(ModelError):
    """The engine was closed, or is closing, and takes no more requests."""


class EngineFailed(ModelError):
    """Generation failed, also when tried again."""
