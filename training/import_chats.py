"""`python -m training.import_chats FILE --me NAME --out FILE.jsonl`: your own chats, as you exported them, to train on.

Your lines become what the bot learns to say, what the others wrote is the context. Everybody in the chat must have
agreed; names and personal data go, and what was left out is told with its reason.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training import options
from training.chats import discord_exporter
from training.chats.detection import SUPPORTED, read_export
from training.chats.messages import Export, Reason, tidy_name, writers
from training.chats.screening import screen
from training.chats.talks import Talk, find_talks, numbered
from training.chats.writing import write_talks
from training.errors import BadData, BadOption

DISCORD_REMINDER = (
    "Discord's developer policy forbids training on message content obtained through its API unless Discord permits "
    "it, whatever the people in the chat say. This is your own copy of your own chat: that you may use it so is yours "
    "to answer for. A bot's own log of Discord never becomes training data here."
)
QUESTION = "Did each of them agree that this chat is used for training?"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of every message read: `kept` in `talks`, or dropped for a reason. kept + dropped = read."""

    read: int
    kept: int
    dropped: Counter[Reason]
    talks: tuple[Talk, ...]


def choose_chats(export: Export, titles: Sequence[str]) -> Export:
    """The export with the chats of these titles only; with all where none is named.

    Raises BadOption with the titles there are when one of them is none of these.
    """
    wanted = {tidy_name(title) for title in titles}
    chats = tuple(chat for chat in export.chats if not wanted or tidy_name(chat.title) in wanted)
    missing = wanted - {tidy_name(chat.title) for chat in chats}
    if missing:
        there = ", ".join(f"'{chat.title}'" for chat in export.chats)
        raise BadOption(f"There is no chat '{min(missing)}' in the file; choose of {there}.")
    return replace(export, chats=chats)


def find_me(export: Export, me: str) -> frozenset[str]:
    """The names under which the importer writes in this export.

    Raises BadOption with all names and counts when NAME is none of them, when NAME is somebody else than the exporter,
    or when nobody else writes.
    """
    counts = writers(export.chats)
    own = export.own_names & counts.keys()
    mine = frozenset(({tidy_name(me)} | own) & counts.keys())
    if own and not mine <= own:
        raise BadOption(
            f"Whoever exported this chat is called {min(own)} in it, not '{me}'; if you did, give --me {min(own)}."
        )
    if not mine:
        there = ", ".join(f"{name} ({count})" for name, count in counts.most_common()) or "nobody"
        raise BadOption(f"'{me}' wrote nothing in this chat; give --me with one of the names in it: {there}.")
    if not counts.keys() - mine:
        raise BadOption(f"Nobody but {' and '.join(sorted(mine))} wrote in this chat: there is nobody to be answered.")
    return mine


def make_talks(export: Export, me: frozenset[str], display_name: str, gap: timedelta) -> Report:
    """The dialogues of all chats, people as person-1, person-2 ..., and what became of the messages."""
    talks: list[Talk] = []
    reasons: list[Reason | None] = []
    for chat in export.chats:
        named = replace(chat, names=chat.names | {display_name})
        found, why = find_talks(screen(named, me), gap)
        talks += found
        reasons += why
    dropped = Counter(reason for reason in reasons if reason is not None)
    return Report(len(reasons), reasons.count(None), dropped, tuple(numbered(talks)))


@app.command()
def main(
    file: Annotated[Path, typer.Argument(help=f"The exported chat. Supported: {SUPPORTED}.")],
    me: Annotated[str, typer.Option(help="Your name as it stands in the chat; your lines are what is learnt.")],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write.")],
    agreed: Annotated[bool, typer.Option("--agreed", help="Everybody in the chat agreed; do not ask.")] = False,
    chat: Annotated[
        list[str] | None,
        typer.Option(help="Of an account's export, the chat of this name; may be given several times."),
    ] = None,
    gap_hours: Annotated[float, typer.Option(min=0.1, help="A silence this long begins another dialogue.")] = 2.0,
) -> None:
    """Turn a chat that you exported into dialogues to train on."""
    with options.plain_errors():
        if out.suffix != ".jsonl":
            raise BadOption(f"{out}: dialogues are written as JSONL; choose a name that ends in .jsonl.")
        export = choose_chats(read_export(file), chat or ())
        mine = find_me(export, me)
        _tell(export, mine)
        _ask(agreed)
        with Console(stderr=True).status("Judging the messages; some hundreds a second ..."):
            report = make_talks(export, mine, tidy_name(me), timedelta(hours=gap_hours))
        _show(report)
        if not report.talks:
            raise BadData(f"{file}: no exchange is left that may be learnt; nothing was written.")
        write_talks(report.talks, export.source, out)
    turns = sum(len(talk.turns) for talk in report.talks)
    print(f"{out}: {len(report.talks)} dialogues, {turns} turns.")


def _tell(export: Export, mine: frozenset[str]) -> None:
    """Who is in the chat, and what there is to know about the file."""
    print(f"Read as {export.source}.")
    for note in export.notes:
        print(f"Note: {note}.")
    if export.source == discord_exporter.SOURCE:
        print(DISCORD_REMINDER)
    table = Table("who", "messages", title="In this chat")
    for name, count in writers(export.chats).most_common():
        table.add_row(f"{name} (you)" if name in mine else name, str(count))
    _print(table)


def _ask(agreed: bool) -> None:
    """Raises BadOption unless everybody agreed."""
    if agreed:
        return
    if not sys.stdin.isatty():
        raise BadOption(f"{QUESTION} There is no terminal to ask on; give --agreed if they did.")
    if not typer.confirm(QUESTION, default=False):
        raise BadOption("Nothing was imported; ask them first.")


def _show(report: Report) -> None:
    table = Table("messages", "number", title="What became of the messages")
    table.add_row("read", str(report.read))
    table.add_row("kept", str(report.kept))
    for reason, count in report.dropped.most_common():
        table.add_row(f"dropped: {reason}", str(count))
    _print(table)


def _print(table: Table) -> None:
    """Names are shown as they are written, brackets and all."""
    Console(markup=False, emoji=False, highlight=False).print(table)


if __name__ == "__main__":
    app()
