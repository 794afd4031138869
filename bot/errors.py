"""Named errors of the bot. Every message is for the person who runs it: Korean, and it says what to do."""

from __future__ import annotations


class BotError(Exception):
    """Base of the errors below: show its text to a person, it is whole sentences."""


class BadSettings(BotError):
    """A setting is unknown or has a value that does not fit; or the encryption key is missing or malformed."""


class WrongKey(BotError):
    """What is stored was not encrypted with this key, or was changed since."""


class BadDatabase(BotError):
    """The database file cannot be opened: not ours, not readable, locked, or of a newer version of this program."""


class StorageFailed(BotError):
    """One reading or writing of the database failed; nothing of it was stored."""


class BackupFailed(BotError):
    """A backup could not be made, is not whole, or could not be put back; the database is as it was."""


class JobFailed(BotError):
    """A scheduled job could not do its work; everything is as it was before."""
