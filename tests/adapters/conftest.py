"""What holds for the tests of all adapters."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def put_levels_back() -> Iterator[None]:
    """The platforms' loggers belong to the process, and adapters quieten them: leave them as they were."""
    levels = {name: logging.getLogger(name).level for name in ("telegram", "discord")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
