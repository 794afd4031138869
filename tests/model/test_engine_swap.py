"""Swapping models, deadlines, and a child that hangs: the engine with its real child process over a fake backend."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from model.engine import Engine, EngineConfig
from model.errors import BadCheckpoint, EngineClosed, EngineTimeout
from tests.model.test_engine import ONE, is_gone, said, until


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(tmp_path, backend="tests.model.test_engine:load_fake")


def next_model(folder: Path) -> Path:
    new = folder / "next"
    new.mkdir()
    (new / "version").write_text("fake-2", encoding="utf-8")
    return new


async def test_a_swap_finishes_the_old_and_starts_the_new_and_nobody_notices(config: EngineConfig) -> None:
    replies = []

    async def chat(engine: Engine, swapping: asyncio.Task[None]) -> None:
        while not swapping.done():
            replies.append(await engine.reply(said("안녕"), ONE))
        replies.append(await engine.reply(said("안녕"), ONE))

    async with Engine(config) as engine:
        old = engine.pid
        long = asyncio.create_task(engine.reply(said("긴 이야기 " * 300), ONE))
        await until(lambda: engine.running == 1)
        swapping = asyncio.create_task(engine.swap(next_model(config.model)))
        await asyncio.gather(*(chat(engine, swapping) for _ in range(3)), swapping)
        assert old is not None and is_gone(old), "its memory is free when swap returns"
        assert engine.pid != old
        assert engine.model_version == "fake-2"
        assert (await long).model_version == "fake-1"
    versions = [reply.model_version for reply in replies]
    assert set(versions) == {"fake-1", "fake-2"}
    assert versions[-1] == "fake-2"


async def test_a_bad_checkpoint_leaves_the_old_one_serving(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        pid = engine.pid
        with pytest.raises(BadCheckpoint, match="no such model folder"):
            await engine.swap(config.model / "missing")
        assert (engine.pid, engine.model_version) == (pid, "fake-1")
        assert (await engine.reply(said("안녕"), ONE)).model_version == "fake-1"


async def test_after_a_swap_a_crash_brings_the_new_model_back(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        await engine.swap(next_model(config.model))
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: engine.pid is None)
        assert (await engine.reply(said("안녕"), ONE)).model_version == "fake-2"


async def test_who_stops_waiting_for_a_swap_takes_no_reply_with_it(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        long = asyncio.create_task(engine.reply(said("긴 이야기 " * 100), ONE))
        await until(lambda: engine.running == 1)
        swapping = asyncio.create_task(engine.swap(next_model(config.model)))
        await until(lambda: engine.model_version == "fake-2")
        swapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await swapping
        assert (await long).model_version == "fake-1"


async def test_closing_ends_a_retired_model_too(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        old = engine.pid
        endless = asyncio.create_task(engine.reply(said("endless"), ONE))
        await until(lambda: engine.running == 1)
        swapping = asyncio.create_task(engine.swap(next_model(config.model)))
        await until(lambda: engine.model_version == "fake-2")
        await engine.drain(0.05)
        with pytest.raises(EngineClosed):
            await endless
        await swapping
        assert old is not None and is_gone(old)
        with pytest.raises(EngineClosed):
            await engine.swap(config.model)


async def test_a_reply_past_its_deadline_is_given_up_and_frees_its_place(config: EngineConfig) -> None:
    async with Engine(replace(config, deadline=0.3, max_running=1)) as engine:
        tasks = [asyncio.create_task(engine.reply(said("endless"), ONE)) for _ in range(2)]
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, EngineTimeout), "running or waiting"
        assert engine.running == engine.waiting == 0
        with pytest.raises(EngineTimeout):
            async for _ in engine.stream(said("endless"), ONE):
                pass


async def test_a_child_that_hangs_is_replaced_and_asked_again(config: EngineConfig) -> None:
    async with Engine(replace(config, hang_seconds=1.5)) as engine:
        hung = engine.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        assert (await engine.reply(said("거기 있어?"), ONE)).text == "거기 있어? 1"
        assert is_gone(hung)
        assert engine.pid != hung


async def test_long_work_with_signs_of_life_and_idle_silence_are_no_hanging(config: EngineConfig) -> None:
    async with Engine(replace(config, hang_seconds=1.5)) as engine:
        pid = engine.pid
        endless = asyncio.create_task(engine.reply(said("endless"), ONE))
        await asyncio.sleep(4)
        assert engine.running == 1
        endless.cancel()
        await asyncio.wait([endless])
        await asyncio.sleep(2)
        assert (await engine.reply(said("안녕"), ONE)).text == "안녕 1"
        assert engine.pid == pid
