"""Errors of this package. Every message says what to do about it."""

from __future__ import annotations


class TrainingError(Exception):
    """Base: show its text to a person, it is a whole sentence."""


class BadData(TrainingError):
    """A data file is missing, unreadable, empty, or not in the format asked for."""


class BadOption(TrainingError):
    """Options of a command do not fit each other or what is on disk."""
