"""Errors of this package. Every message says what to do about it."""

from __future__ import annotations


class BenchmarkError(Exception):
    """Base: show its text to a person, it is a whole sentence."""


class BadChoice(BenchmarkError):
    """An option of a benchmark names something that does not exist."""


class SystemFailed(BenchmarkError):
    """A measured system cannot be loaded, or broke while it was measured."""
