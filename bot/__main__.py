"""The command line: `python -m bot` starts what is configured; `chat`, `run` and `doctor` are its verbs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from adapters.errors import AdapterError
from bot import app as application
from bot.doctor import examine
from bot.errors import BotError
from bot.settings import load_settings
from model.errors import ModelError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="말벗: 한국어 AI 말벗")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """An expected error is its sentence on stderr and exit code 2; Ctrl-C is a normal end."""
    try:
        yield
    except (BotError, AdapterError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    except ModelError as error:
        print(f"모델을 쓸 수 없어요. {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        print(file=sys.stderr)


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """.env에 토큰이 있으면 그 플랫폼들을, 없으면 터미널 대화를 켜요."""
    if context.invoked_subcommand is None:
        with _plain_errors():
            asyncio.run(application.start(load_settings()))


@app.command()
def chat(
    say: Annotated[
        list[str] | None, typer.Option(help="이 말을 하고 답을 한 줄씩 보여 줘요. 여러 번 쓸 수 있어요.")
    ] = None,
) -> None:
    """터미널에서 이야기해요."""
    with _plain_errors():
        asyncio.run(application.chat(load_settings(), say or []))


@app.command()
def run() -> None:
    """.env에 토큰이 있는 플랫폼을 모두 켜요."""
    with _plain_errors():
        asyncio.run(application.run(load_settings()))


@app.command()
def doctor() -> None:
    """설정, 데이터베이스, 열쇠, 모델, 토큰을 살펴보고 고칠 점을 알려 줘요."""
    with _plain_errors():
        findings = list(examine(load_settings()))
    for finding in findings:
        print(f"{'✓' if finding.healthy else '✗'} {finding.subject}: {finding.text}")
    if not all(finding.healthy for finding in findings):
        raise typer.Exit(2)


if __name__ == "__main__":
    app()
