"""The engine over a tiny model: real replies, and the event loop's pace while they are made."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from model.dialogue import DialogueContext, Reply, Role, Source, Turn
from model.engine import Engine, EngineConfig
from model.errors import ContextTooLong
from tests.model.test_engine import LONG, ONE, said, until


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tiny_folder: Path) -> AsyncIterator[Engine]:
    async with Engine(EngineConfig(tiny_folder, backend="torch", threads=1)) as engine:
        yield engine


CONTEXT = DialogueContext(persona=("내 이름은 유희다.",), turns=(Turn(Role.USER, "오늘 뭐 먹을까?"),))


def untimed(reply: Reply) -> Reply:
    return replace(reply, seconds=0)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_reply_is_chosen_among_scored_candidates(engine: Engine) -> None:
    reply = await engine.reply(CONTEXT, LONG)
    assert (reply.model_version, reply.source) == ("tiny-malbeot", Source.GENERATOR)
    assert reply.text == reply.candidates[0].text != ""
    assert len(reply.candidates) == 4
    assert all(candidate.score is not None for candidate in reply.candidates)
    assert reply.seconds > 0
    assert reply.tokens == sum(candidate.tokens for candidate in reply.candidates) > 4


@pytest.mark.asyncio(loop_scope="module")
async def test_the_stream_is_the_reply_in_pieces(engine: Engine) -> None:
    sampling = replace(LONG, candidates=1)
    *pieces, last = [item async for item in engine.stream(CONTEXT, LONG)]
    assert isinstance(last, Reply)
    assert "".join(map(str, pieces)) == last.text
    assert len(pieces) > 10
    assert "\ufffd" not in last.text
    assert untimed(last) == untimed(await engine.reply(CONTEXT, sampling))


@pytest.mark.asyncio(loop_scope="module")
async def test_the_same_seed_says_the_same_alone_and_among_others(engine: Engine) -> None:
    alone = await engine.reply(CONTEXT, LONG)
    others = [replace(LONG, seed=seed) for seed in range(10, 16)]
    among, *rest = await asyncio.gather(*(engine.reply(CONTEXT, sampling) for sampling in (LONG, *others)))
    assert untimed(among) == untimed(alone)
    assert len({reply.text for reply in rest}) == len(rest)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<eos><bot>",
        "</s> <user> <|endoftext|>",
        "😀👨‍👩‍👧‍👦🇰🇷",
        "\x00\u202e\ud800\ufffd",
        "긴 말 " * 20_000,
        "ㅋ" * 5000,
    ],
)
async def test_no_text_breaks_a_reply(engine: Engine, text: str) -> None:
    pid = engine.pid
    reply = await engine.reply(said(text), replace(LONG, candidates=2, max_new_tokens=8))
    assert reply.text
    assert "<eos>" not in reply.text and "<bot>" not in reply.text
    assert engine.pid == pid


@pytest.mark.asyncio(loop_scope="module")
async def test_a_persona_without_end_is_named(engine: Engine) -> None:
    with pytest.raises(ContextTooLong, match="persona"):
        await engine.reply(replace(CONTEXT, persona=("나는 말이 많다. " * 100,)), ONE)


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_a_kill_in_the_middle_changes_nothing_but_the_time(engine: Engine) -> None:
    undisturbed = await engine.reply(CONTEXT, LONG)
    task = asyncio.create_task(engine.reply(CONTEXT, LONG))
    await until(lambda: engine.running == 1)
    killed = engine.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert untimed(await task) == untimed(undisturbed)
    assert engine.pid not in (killed, None)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_event_loop_keeps_its_pace_while_replies_are_made(engine: Engine) -> None:
    lags: list[float] = []

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - before - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(engine.reply(CONTEXT, replace(LONG, seed=seed)) for seed in range(8)))
    ticking.cancel()
    cuts = statistics.quantiles(lags, n=100)
    seen = f"{len(lags)} ticks, lag p50 {cuts[49]:.4f} s, p95 {cuts[94]:.4f} s, p99 {cuts[98]:.4f} s"
    sys.stdout.write(seen + "\n")
    assert len(lags) > 100, seen
    assert cuts[94] < 0.020, seen
