"""The engine with its real child process over a fake backend: crashes, queues, cancelling, draining."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from model.dialogue import Candidate, DialogueContext, Finish, Reply, Responder, Role, Sampling, Source, Turn
from model.engine import Engine, EngineConfig
from model.errors import BadCheckpoint, EngineBusy, EngineClosed, EngineFailed

ONE = Sampling(candidates=1, seed=1)
LONG = Sampling(temperature=2.0, top_k=0, top_p=1.0, candidates=4, max_new_tokens=120, seed=7)


def said(text: str) -> DialogueContext:
    return DialogueContext(turns=(Turn(Role.USER, text),))


# --- a backend for the child that does what the user's line says ---


class FakeGeneration:
    """Echoes a line letter by letter, or does what it is told: dies, or never ends."""

    def __init__(self, line: str, seed: int | None) -> None:
        self.line = f"{line} {seed}"
        self.length = 0
        self.closed = False

    @property
    def finished(self) -> bool:
        return self.length >= len(self.line)

    def step(self) -> None:
        self.length += 1
        time.sleep(0.001)  # as long as a tiny model's step
        if self.line.startswith("poison") and self.length > 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.line.startswith("endless"):
            self.line += "!"

    def text(self) -> str:
        return self.line[: self.length]

    def candidates(self) -> list[Candidate]:
        return [Candidate(self.line, Source.GENERATOR, Finish.STOP)]

    def close(self) -> None:
        self.closed = True


class FakeBackend:
    def __init__(self, version: str) -> None:
        self.version = version
        self.generations: list[FakeGeneration] = []

    def start(self, context: DialogueContext, sampling: Sampling) -> FakeGeneration:
        self.generations.append(FakeGeneration(context.turns[-1].text, sampling.seed))
        return self.generations[-1]

    def step(self) -> None:
        self.generations = [generation for generation in self.generations if not generation.closed]
        for generation in self.generations:
            generation.step()

    def score(self, context: DialogueContext, texts: Sequence[str]) -> None:
        return None


def load_fake(config: EngineConfig) -> FakeBackend:
    """Called in the child: `config.model` is a folder whose files tell how loading goes."""
    sys.stdout.write("this goes to the standard output of the child\n")
    if not config.model.exists():
        raise BadCheckpoint("There is no such model folder.")
    if (config.model / "broken").exists():
        os._exit(1)
    version = config.model / "version"
    return FakeBackend(version.read_text(encoding="utf-8") if version.exists() else "fake-1")


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(tmp_path, backend="tests.model.test_engine:load_fake")


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what other processes bring about."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the child sets no event here
            await asyncio.sleep(0.002)


def is_gone(pid: int) -> bool:
    """Ended; perhaps not yet collected by whoever inherited it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


async def test_it_answers_and_ends_its_child_without_a_word_on_stdout(
    config: EngineConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    async with Engine(config) as engine:
        responder: Responder = engine
        reply = await responder.reply(said("안녕"), ONE)
        pid = engine.pid
        assert (engine.model_version, engine.running, engine.waiting) == ("fake-1", 0, 0)
    assert (reply.text, reply.model_version) == ("안녕 1", "fake-1")
    assert pid is not None and is_gone(pid)
    assert capfd.readouterr().out == ""


async def test_without_a_seed_one_is_drawn_for_each_request(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        replies = {(await engine.reply(said("안녕"), replace(ONE, seed=None))).text for _ in range(4)}
    assert len(replies) == 4


async def test_a_bad_checkpoint_is_told_in_the_words_of_the_child(config: EngineConfig) -> None:
    with pytest.raises(BadCheckpoint, match=r"^There is no such model folder\.$"):
        async with Engine(replace(config, model=config.model / "missing")):
            pass


async def test_a_child_that_dies_while_loading_is_an_error(config: EngineConfig) -> None:
    (config.model / "broken").touch()
    with pytest.raises(EngineFailed, match="while it loaded"):
        async with Engine(config):
            pass


async def test_a_line_of_the_retrievers_folder_is_taken_outright(config: EngineConfig) -> None:
    turns = [{"speaker": "user", "text": "오늘 저녁 뭐 먹지?"}, {"speaker": "bot", "text": "떡볶이 어때요?"}]
    (config.model / "own.jsonl").write_text(json.dumps({"turns": turns}), encoding="utf-8")
    async with Engine(replace(config, retriever=config.model, take_confidence=0.9)) as engine:
        near = await engine.reply(said("오늘 저녁 뭐 먹지"), ONE)
        far = await engine.reply(said("안녕"), ONE)
    assert (near.text, near.source) == ("떡볶이 어때요?", Source.RETRIEVER)
    assert (far.text, far.source) == ("안녕 1", Source.GENERATOR)


async def test_cancelling_a_reply_frees_its_slot(config: EngineConfig) -> None:
    async with Engine(replace(config, max_running=1)) as engine:
        endless = asyncio.create_task(engine.reply(said("endless"), ONE))
        await until(lambda: engine.running == 1)
        queued = asyncio.create_task(engine.reply(said("다음"), ONE))
        await until(lambda: engine.waiting == 1)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert (await queued).text == "다음 1"


async def test_closing_a_stream_frees_its_slot(config: EngineConfig) -> None:
    async with Engine(replace(config, max_running=1)) as engine:
        async with aclosing(engine.stream(said("endless"), ONE)) as stream:
            assert [await anext(stream) for _ in range(3)] == ["e", "n", "d"]
        assert (await engine.reply(said("다음"), ONE)).text == "다음 1"


async def test_a_full_queue_is_busy_at_once(config: EngineConfig) -> None:
    async with Engine(replace(config, max_running=1, queue_limit=2)) as engine:
        tasks = [asyncio.create_task(engine.reply(said("endless"), ONE)) for _ in range(3)]
        await until(lambda: engine.running + engine.waiting == 3)
        with pytest.raises(EngineBusy):
            await engine.reply(said("하나 더"), ONE)
        for task in tasks[:2]:
            task.cancel()
        await asyncio.wait(tasks[:2])
        tasks[2].cancel()
        assert (await engine.reply(said("이제"), ONE)).text == "이제 1"


async def test_draining_finishes_what_was_accepted_and_takes_no_more(config: EngineConfig) -> None:
    async with Engine(replace(config, max_running=1)) as engine:
        tasks = [asyncio.create_task(engine.reply(said(f"{number}번째 이야기"), ONE)) for number in range(3)]
        await until(lambda: engine.running + engine.waiting == 3)
        draining = asyncio.create_task(engine.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(EngineClosed):
            await engine.reply(said("늦었나요"), ONE)
        await draining
        assert [task.result().text for task in tasks] == [f"{number}번째 이야기 1" for number in range(3)]
        assert engine.pid is None


async def test_draining_gives_up_after_its_time(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        endless = asyncio.create_task(engine.reply(said("endless"), ONE))
        await until(lambda: engine.running == 1)
        pid = engine.pid
        await engine.drain(0.05)
        with pytest.raises(EngineClosed):
            await endless
        assert pid is not None and is_gone(pid)


async def test_a_poisonous_request_fails_alone(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        first = engine.pid
        lines = ["하나", "poison", "둘 둘 둘 둘 둘", "셋"]
        outcomes = await asyncio.gather(*(engine.reply(said(line), ONE) for line in lines), return_exceptions=True)
        assert engine.pid != first
    assert isinstance(outcomes.pop(1), EngineFailed)
    assert [reply.text for reply in outcomes if isinstance(reply, Reply)] == ["하나 1", "둘 둘 둘 둘 둘 1", "셋 1"]


async def test_a_request_that_arrives_during_the_restart_waits(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: engine.pid is None)
        assert (await engine.reply(said("기다릴게"), ONE)).text == "기다릴게 1"


async def test_a_stream_that_showed_something_is_not_taken_back(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        shown = []
        with pytest.raises(EngineFailed):
            async for item in engine.stream(said("poison"), ONE):
                shown.append(item)
        assert shown and "poison 1".startswith("".join(map(str, shown)))
        assert (await engine.reply(said("다음"), ONE)).text == "다음 1"


async def test_a_child_that_cannot_start_any_more_fails_requests_until_it_can(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        assert engine.pid is not None
        (config.model / "broken").touch()
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: engine.pid is None)
        with pytest.raises(EngineFailed, match="start"):
            await engine.reply(said("아무도 없나요"), ONE)
        (config.model / "broken").unlink()
        assert (await engine.reply(said("다시"), ONE)).text == "다시 1"


async def test_the_child_ignores_ctrl_c(config: EngineConfig) -> None:
    async with Engine(config) as engine:
        pid = engine.pid
        assert pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        assert (await engine.reply(said("아직 여기"), ONE)).text == "아직 여기 1"
        assert engine.pid == pid
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)


PARENT = """
import asyncio, sys
from pathlib import Path
from model.engine import Engine
from tests.model.test_engine import ONE, EngineConfig, said, until

async def main():
    config = EngineConfig(Path(sys.argv[1]), backend="tests.model.test_engine:load_fake")
    async with Engine(config) as engine:
        task = asyncio.create_task(engine.reply(said("endless"), ONE))
        await until(lambda: engine.running == 1)
        print(engine.pid, flush=True)
        await task

asyncio.run(main())
"""


def test_the_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
    deadline = time.monotonic() + 30
    while not is_gone(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(child)
