"""The command line: `python -m bot` starts what is configured; the commands are its verbs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adapters.errors import AdapterError
from bot import app as application
from bot.backup import back_up
from bot.doctor import examine
from bot.errors import BotError
from bot.flywheel import places
from bot.flywheel import restore as put_back
from bot.settings import load_settings
from bot.status import status as look
from bot.store.store import utc_now
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


@app.command()
def status() -> None:
    """어떤 모델이 대답하는지, 사람들이 어떻게 여기는지, 때맞춰 하는 일은 어떤지 보여 줘요."""
    with _plain_errors():
        shown = asyncio.run(look(load_settings(), utc_now()))
        Console().print(shown)


@app.command()
def backup() -> None:
    """지금 백업해요. 말벗이 켜져 있어도 돼요."""
    with _plain_errors():
        settings = load_settings()
        made = back_up(settings.database, places(settings).backups, application.open_cipher(settings), utc_now())
        print(f"{made} 에 백업하고 되살아나는지 확인했어요.")


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="data/backups 안의 백업 파일")]) -> None:
    """백업을 되살려요. 말벗을 먼저 꺼 주세요."""
    with _plain_errors():
        settings = load_settings()
        cipher = application.open_cipher(settings)
        aside, forgotten = asyncio.run(put_back(settings, file, cipher, utc_now()))
        print(f"{file} 을 되살렸어요. 그 뒤에 잊어 달라고 한 {forgotten}건도 다시 지웠어요.")
        if aside is not None:
            print(f"있던 데이터베이스는 {aside} 에 두었어요.")


if __name__ == "__main__":
    app()
