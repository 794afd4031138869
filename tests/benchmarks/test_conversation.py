"""Hundreds of conversations at once over the real client libraries, with an echo in the place of the model."""

from __future__ import annotations

import pytest

from benchmarks.conversation import talk


@pytest.mark.slow
async def test_300_conversations_on_each_platform_are_answered_once_and_in_order() -> None:
    platforms = await talk(people=300, messages=3, rate=0, real=False)
    for figures in platforms.values():
        assert (figures.sent, figures.answered) == (900, 900)
        assert (figures.duplicates, figures.out_of_order) == (0, 0)
