from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from model.dialogue import DialogueContext, Role, Sampling, Turn
from model.errors import BadCheckpoint
from model.protocol import Alive, Cancel, EngineConfig, Refused, Submit, read_frame, receive_frame, to_frame

SUBMIT = Submit(7, DialogueContext(turns=(Turn(Role.USER, "안녕 😀"),)), Sampling(seed=1), streamed=True)


def test_what_goes_to_the_child_arrives_as_it_was() -> None:
    stream = io.BytesIO(to_frame(EngineConfig(Path("m"))) + to_frame(SUBMIT) + to_frame(Cancel(7)))
    assert [read_frame(stream) for _ in range(4)] == [EngineConfig(Path("m")), SUBMIT, Cancel(7), None]


@pytest.mark.parametrize("missing", [1, 5])
async def test_a_message_cut_by_a_crash_is_the_end(missing: int) -> None:
    whole = to_frame(Alive())
    cut = to_frame(SUBMIT)[:-missing]
    assert read_frame(io.BytesIO(cut)) is None
    reader = asyncio.StreamReader()
    reader.feed_data(whole + cut)
    reader.feed_eof()
    assert await receive_frame(reader) == Alive()
    assert await receive_frame(reader) is None


async def test_errors_cross_the_pipe_with_their_sentence() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(to_frame(Refused(BadCheckpoint("Get it again."))))
    message = await receive_frame(reader)
    assert isinstance(message, Refused)
    assert isinstance(message.error, BadCheckpoint) and str(message.error) == "Get it again."


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_running": 0}, "max_running"),
        ({"queue_limit": -1}, "queue_limit"),
        ({"generator_confidence": 1.2}, "generator_confidence"),
        ({"precision": "int4"}, "precision must be one of auto, int8, bf16, fp32"),
        ({"cache_mb": 0}, "cache_mb"),
        ({"deadline": 0}, "deadline"),
        ({"hang_seconds": -1}, "hang_seconds"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EngineConfig(Path("m"), **settings)
