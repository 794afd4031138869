"""`python -m benchmarks.conversation --people 300 --messages 3 --json FILE`: many people at once, on both platforms.

The bot is a process of its own with its real client libraries; local services in the place of the platforms and the
people are another. Latency is from a message leaving its person to the final answer reaching them. With the echo in the
place of the model, whose own time is taken off, it is what the bot itself costs (and the stand-ins, on the same cores).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.echo_bot import REPLY_SECONDS, answer_to
from benchmarks.lines import unlike
from benchmarks.stage import ECHO, PLATFORMS, REAL, Stage
from bot.commands import WAIT
from model.files import write_json

_PATIENCE_SECONDS = 300.0
_FIRST_PERSON = 1000
# What people say to the model; the echo is told something different each time.
_LINES = ("안녕", "오늘 너무 피곤해", "저녁 뭐 먹지?", "요즘 잠이 잘 안 와", "나 시험 붙었어!", "비 오는 날 뭐 해?")


@dataclass(frozen=True, slots=True)
class Figures:
    """One platform: how many messages were said, answered, answered more than once or out of order; seconds."""

    sent: int
    answered: int
    duplicates: int
    out_of_order: int
    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class Said:
    """A person's message, and when it was said."""

    person: int
    text: str
    at: float


async def talk(people: int, messages: int, rate: float, real: bool, seed: int = 0) -> dict[str, Figures]:
    """Let `people` say `messages` each on both platforms, `rate` a second on each (0: all at once)."""
    rng = random.Random(seed)
    async with Stage.open() as stage:
        process = await stage.start(REAL if real else ECHO)
        try:
            async with asyncio.TaskGroup() as group:
                running = {
                    platform: group.create_task(_say_all(stage, platform, people, messages, rate, real, rng))
                    for platform in PLATFORMS
                }
        finally:
            process.terminate()
            await process.wait()
        return {platform: figures(stage, platform, task.result(), real) for platform, task in running.items()}


async def _say_all(
    stage: Stage, platform: str, people: int, messages: int, rate: float, real: bool, rng: random.Random
) -> list[Said]:
    """Each person waits for nothing: the next message may come while the last is being answered."""
    clock = asyncio.get_running_loop().time
    said: list[Said] = []
    for number in range(messages):
        order = rng.sample(range(people), people)
        for person in order:
            text = rng.choice(_LINES) if real else unlike(people * number + person)
            said.append(Said(_FIRST_PERSON + person, text, clock()))
            await stage.say(platform, _FIRST_PERSON + person, text)
            await asyncio.sleep(rng.expovariate(rate) if rate else 0)
    stand_in = stage.telegram if platform == "telegram" else stage.discord
    try:
        await stand_in.until(
            lambda: sum(each.text != WAIT for each in stage.shown(platform)) >= len(said), _PATIENCE_SECONDS
        )
    except TimeoutError:
        print(f"{platform}: not everything was answered within {_PATIENCE_SECONDS:.0f} s", file=sys.stderr)
    return said


def figures(stage: Stage, platform: str, said: list[Said], real: bool) -> Figures:
    """Pair each person's messages with the answers to them, in order."""
    heard, asked = defaultdict(list), defaultdict(list)
    for shown in stage.shown(platform):
        if shown.text == WAIT:
            continue
        heard[shown.person].append(shown)
    for line in said:
        asked[line.person].append(line)
    seconds: list[float] = []
    surplus = disordered = 0
    for person, lines in asked.items():
        answers = heard[person]
        surplus += max(0, len(answers) - len(lines))
        for line, answer in zip(lines, answers, strict=False):
            seconds.append(answer.at - line.at - (0 if real else REPLY_SECONDS))
            disordered += not real and answer.text != answer_to(line.text)
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    return Figures(len(said), len(seconds), surplus, disordered, cuts[49], cuts[94], cuts[98], max(seconds, default=0))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    people: Annotated[int, typer.Option(min=1, help="Conversations on each platform.")] = 300,
    messages: Annotated[int, typer.Option(min=1, help="Messages of each person.")] = 3,
    rate: Annotated[float, typer.Option(min=0, help="Messages a second on each platform; 0: all at once.")] = 5.0,
    real: Annotated[bool, typer.Option("--model", help="With the model, not the echo.")] = False,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of orders and pauses.")] = 0,
) -> None:
    """Let many people talk with the bot at once, and measure how long they wait."""
    platforms = asyncio.run(talk(people, messages, rate, real, seed))
    for name, result in platforms.items():
        print(
            f"{name}: {result.answered} of {result.sent} answered, {result.duplicates} twice, "
            f"{result.out_of_order} out of order; ms p50 {1000 * result.p50:.0f}, p95 {1000 * result.p95:.0f}, "
            f"p99 {1000 * result.p99:.0f}, longest {1000 * result.longest:.0f}"
        )
    if json is not None:
        write_json(json, {"platforms": {name: asdict(result) for name, result in platforms.items()}})


if __name__ == "__main__":
    app()
