"""One process a token: two that poll with the same one take each other's messages."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.telegram_settings import ALREADY_RUNNING, BAD_LOCK, AlreadyRunning, LockFailed


@contextmanager
def only_instance(folder: Path, token: str) -> Iterator[None]:
    """Hold the lock of `token`. The system frees it however the process ends.

    Raises AlreadyRunning when another process holds it, LockFailed when the file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"telegram-{_name(token)}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LockFailed(BAD_LOCK.format(reason=error.strerror, folder=folder)) from error
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(ALREADY_RUNNING) from None


def _name(token: str) -> str:
    """A name for `token` that does not give it away."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]
