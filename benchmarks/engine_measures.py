"""The measures: what one round asks of a system. They know systems only as `System`, so that all do the same work."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import cast

from benchmarks.engine_statistics import SINGLE_REPLY
from benchmarks.systems import Setup, Source, System
from benchmarks.workload import Prompts, Workload
from model.chat_format import get_format
from model.manifest import read_manifest
from model.tokenizer import load_tokenizer

Values = dict[str, float]
Measure = Callable[[System, Prompts, Workload], Values]

WARM_UP = "warm_up"
MEASURES = ("chat", "few", "many", "warm", "four")


def prompts_for(model: Path, workload: Workload) -> Prompts:
    """Prompts for the checkpoint in folder `model`, whose weights are not read."""
    manifest = read_manifest(model)
    chat_format = get_format(manifest.format if manifest else "malbeot", load_tokenizer(model))
    positions = int(json.loads((model / "config.json").read_text(encoding="utf-8"))["n_positions"])
    return Prompts(chat_format, positions, workload)


class Session:
    """A loaded system with the prompts that fit its model. The same round asks every system the same."""

    def __init__(self, source: Source, setup: Setup, workload: Workload) -> None:
        module, _, function = source.load.partition(":")
        load = cast(Callable[[Setup], System], getattr(importlib.import_module(module), function))
        self.system = load(setup)
        self.about = self.system.about
        self._prompts = prompts_for(setup.model, workload)
        self._workload = workload

    def measure(self, name: str, round_number: int) -> Values:
        """The values of one measure in one round."""
        self._prompts.restart(f"{name} {round_number}")
        return _MEASURES[name](self.system, self._prompts, self._workload)

    def close(self) -> None:
        """Free what does not end with the process."""
        self.system.close()


def _warm_up(system: System, prompts: Prompts, workload: Workload) -> Values:
    """Once alone, and once each as many as will come together: first runs allocate and compile."""
    for count in (1, workload.few, workload.many):
        system.run(prompts.first(count), workload.sampling())
    system.run(prompts.first(1), workload.sampling(workload.candidates))
    return {}


def _chat(system: System, prompts: Prompts, workload: Workload) -> Values:
    """One chat at a time: its first turn, then its second, which the answer and some more have made longer."""
    firsts, paces, seconds = [], [], []
    for number in range(workload.chats):
        (prompt,) = prompts.first(1)
        outcome = system.run([prompt], workload.sampling(seed=number))
        assert outcome.first is not None, "one prompt alone has a first token"
        firsts.append(outcome.first)
        paces.append((outcome.seconds - outcome.first) / (workload.new_tokens - 1))
        later = system.run([prompts.second(prompt, outcome.answers[0])], workload.sampling(seed=number))
        assert later.first is not None, "one prompt alone has a first token"
        seconds.append(later.first)
    return {
        "first_token": median(firsts) * 1000,
        "one_chat_ms_per_token": median(paces) * 1000,
        "second_turn_first_token": median(seconds) * 1000,
    }


def _few(system: System, prompts: Prompts, workload: Workload) -> Values:
    return {"tokens_per_s_8": _at_once(system, prompts, workload, workload.few)}


def _many(system: System, prompts: Prompts, workload: Workload) -> Values:
    return {"tokens_per_s_32": _at_once(system, prompts, workload, workload.many)}


def _at_once(system: System, prompts: Prompts, workload: Workload, count: int) -> float:
    outcome = system.run(prompts.first(count), workload.sampling())
    return count * workload.new_tokens / outcome.seconds


def _warm(system: System, prompts: Prompts, workload: Workload) -> Values:
    """Chats that share a persona which somebody talked to before: all their first turns, then all their second."""
    stranger, *chats = prompts.first(1 + workload.many, shared_persona=True)
    system.run([stranger], workload.sampling())
    first = system.run(chats, workload.sampling())
    grown = [prompts.second(prompt, answer) for prompt, answer in zip(chats, first.answers, strict=True)]
    second = system.run(grown, workload.sampling(seed=1))
    return {"warm_32_chats": 2 * workload.many * workload.new_tokens / (first.seconds + second.seconds)}


def _four(system: System, prompts: Prompts, workload: Workload) -> Values:
    """A reply out of several candidates, and beside it a single one."""
    single, several = [], []
    for number in range(workload.chats):
        one, other = prompts.first(2)
        single.append(system.run([one], workload.sampling(seed=number)).seconds)
        several.append(system.run([other], workload.sampling(workload.candidates, seed=number)).seconds)
    return {"four_candidates": median(several) * 1000, SINGLE_REPLY: median(single) * 1000}


_MEASURES: dict[str, Measure] = {
    WARM_UP: _warm_up,
    "chat": _chat,
    "few": _few,
    "many": _many,
    "warm": _warm,
    "four": _four,
}
