"""`python -m benchmarks.crash --kills 30 --messages 600 --json FILE`: what kill -9 costs.

The real bot, its real client libraries and local services in the place of both platforms; only the replies are an
echo. While people write, the bot is killed and started again, at random moments; in the end every message must have
been answered. `lost`: messages without an answer. `duplicates`: answers beyond the first.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.echo_bot import answer_to
from benchmarks.lines import unlike
from benchmarks.stage import PLATFORMS, Stage
from model.files import write_json

PEOPLE = 60
# Seconds from one message to the next on each platform: about what a busy evening of thousands brings. Telegram has no
# idempotency key, so every answer that is on its way there at a kill is sent again: duplicates grow with the pace.
PACE = 0.05
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one platform's messages."""

    sent: int
    lost: int
    duplicates: int
    kills: int


def outcome(said: Iterable[str], shown: Iterable[str], kills: int) -> Outcome:
    """Compare what people said with the texts of the bot's messages. Texts of people are all different."""
    answers = Counter(shown)
    counts = [answers[answer_to(text)] for text in said]
    return Outcome(
        sent=len(counts),
        lost=sum(count == 0 for count in counts),
        duplicates=sum(max(0, count - 1) for count in counts),
        kills=kills,
    )


async def crash(kills: int, messages: int, seed: int = 0, pace: float = PACE) -> dict[str, Outcome]:
    """Let people write `messages` messages on each platform while the bot is killed `kills` times."""
    rng = random.Random(seed)
    opening = min(PEOPLE, messages)
    moments = Counter(rng.choices(range(opening, messages), k=kills))
    async with Stage.open() as stage:
        process = await stage.start()
        try:
            for number in range(messages):
                if number == opening:
                    # A bot cannot know of a Discord conversation it never was in: all are opened before the kills.
                    await _until_answered(stage, opening)
                for platform in PLATFORMS:
                    await stage.say(platform, 1000 + number % PEOPLE, unlike(number))
                await asyncio.sleep(pace)
                for _ in range(moments[number]):
                    await asyncio.sleep(rng.uniform(0, 0.1))
                    process.kill()
                    await process.wait()
                    process = await stage.start()
            await _until_answered(stage, messages)
        finally:
            process.terminate()
            await process.wait()
        shown = {platform: [each.text for each in stage.shown(platform)] for platform in PLATFORMS}
    everything = [unlike(number) for number in range(messages)]
    return {platform: outcome(everything, texts, kills) for platform, texts in shown.items()}


def said(number: int) -> str:
    """Something that nobody said before."""
    return f"{number}번째 이야기"


async def _until_answered(stage: Stage, count: int) -> None:
    for platform in PLATFORMS:
        answers = [answer_to(unlike(number)) for number in range(count)]
        if not await stage.until_answered(platform, answers, _PATIENCE_SECONDS):
            print(f"{platform}: not everything was answered within {_PATIENCE_SECONDS:.0f} s", file=sys.stderr)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    kills: Annotated[int, typer.Option(min=0, help="How often the bot is killed.")] = 30,
    messages: Annotated[int, typer.Option(min=PEOPLE + 1, help="Messages on each platform.")] = 600,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    pace: Annotated[float, typer.Option(min=0, help="Seconds from one message to the next.")] = PACE,
) -> None:
    """Kill the bot while people write to it, and count what was lost or said twice."""
    platforms = asyncio.run(crash(kills, messages, seed, pace))
    for name, result in platforms.items():
        print(f"{name}: {result.sent} sent, {result.lost} lost, {result.duplicates} twice, {result.kills} kills")
    if json is not None:
        write_json(json, {"platforms": {name: asdict(result) for name, result in platforms.items()}})


if __name__ == "__main__":
    app()
