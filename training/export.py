"""`python -m training.export`: talk that people share for training, as dialogues of this project's JSONL.

Consented, masked, filtered, without what is repeated or rare; with a manifest that says whose talk it is. The rules
are in export_content.py and what it joins, the folder's form in export_files.py. Talk from Discord is not even read
unless Discord has permitted it in writing, nor is what was said in the operator's own terminal.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bot.errors import BadDatabase, BotError
from bot.privacy import OWN_PLATFORMS, UNTRAINABLE_PLATFORMS
from bot.settings import load_settings
from bot.store.cipher import Cipher, load_key
from bot.store.sharing import ExportedTurn, Grant, SharedExchange
from bot.store.store import Store, utc_now
from training import export_files
from training.errors import BadOption, TrainingError
from training.export_content import Content, ExportOptions, prepare
from training.export_files import ExportManifest
from training.forgetting import bury_again

# Raised whenever something else is masked or left out; every manifest names it.
FILTER_VERSION = 1
# How often an export is begun again because somebody changed their mind meanwhile.
_TRIES = 5
_DEFAULTS = ExportOptions()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Unsettled(TrainingError):
    """Consents or turns changed during every try."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The folder, None where there was nothing for one, and what was left out for which reason."""

    folder: Path | None
    dropped: dict[str, int]


async def export(
    store: Store, out: Path, now: Callable[[], datetime] = utc_now, options: ExportOptions = _DEFAULTS
) -> Path | None:
    """Write what people share to a new folder in `out`, whole or not at all; None when there is nothing to write.

    The same database and the same time give the same bytes. Raises StorageFailed, WrongKey, TaggerMissing,
    ExportRunning, Unsettled and OSError; then there is no new folder.
    """
    return (await export_with_reasons(store, out, now, options)).folder


async def export_with_reasons(
    store: Store, out: Path, now: Callable[[], datetime] = utc_now, options: ExportOptions = _DEFAULTS
) -> Exported:
    """`export`, telling also what was left out."""
    with export_files.making(out):
        export_files.sweep(out)
        # A database from a backup must not bring back who has left since.
        await bury_again(store, out, now())
        for _ in range(_TRIES):
            at = now().astimezone(UTC)
            grants = await store.grants()
            shared = await _read(store, grants, at, options)
            content = await asyncio.to_thread(prepare, shared, options)
            if content.is_empty:
                return Exported(None, content.dropped)
            folder = await _publish(store, out, content, _origin(shared, content, grants, at, options))
            if folder is not None:
                return Exported(folder, content.dropped)
    raise Unsettled("People changed what they share during every try; run the export again.")


async def _read(
    store: Store, grants: Mapping[str, Grant], at: datetime, options: ExportOptions
) -> list[SharedExchange]:
    without = OWN_PLATFORMS if options.discord_permission else OWN_PLATFORMS | UNTRAINABLE_PLATFORMS
    oldest = at - timedelta(days=options.retention_days)
    shared: list[SharedExchange] = []
    for person, grant in grants.items():
        shared += await store.shared(person, max(grant.since, oldest), without)
    return shared


@dataclass(frozen=True, slots=True)
class _Origin:
    """What an export is made of, and under which conditions."""

    at: datetime
    rows: tuple[ExportedTurn, ...]
    grants: dict[str, Grant]
    permission: str | None


def _origin(
    shared: Sequence[SharedExchange],
    content: Content,
    grants: Mapping[str, Grant],
    at: datetime,
    options: ExportOptions,
) -> _Origin:
    rows = [
        ExportedTurn(
            turn_id,
            exchange.person,
            exchange.platform,
            options.discord_permission if exchange.platform in UNTRAINABLE_PLATFORMS else None,
        )
        for exchange in shared
        for turn_id in (exchange.said_id, exchange.replied_id)
        if turn_id in content.turn_ids
    ]
    people = sorted({row.person for row in rows})
    permission = next((row.permission for row in rows if row.permission is not None), None)
    return _Origin(at, tuple(rows), {person: grants[person] for person in people}, permission)


async def _publish(store: Store, out: Path, content: Content, origin: _Origin) -> Path | None:
    """Write the files, note in the database what they hold, and only then let the folder appear.

    None when somebody in it does not share their talk any more. From the note on nobody else changes the exports, so
    that who takes back their consent right then is taken out of the folder that has just appeared.
    """
    with export_files.partial_folder(out) as partial:
        await asyncio.to_thread(
            export_files.write_lines, partial, content.dialogues, content.held_out, content.preferences
        )
        async with export_files.changing(out):
            name = _free_name(out, await store.export_names(), origin.at)
            export_files.write_manifest(partial, _manifest(name, content, origin))
            if not await store.record_export(name, origin.at, origin.rows, origin.grants):
                return None
            export_files.put(partial, out / name)
    return out / name


def _free_name(out: Path, taken: set[str], at: datetime) -> str:
    first = name = at.strftime("%Y%m%d-%H%M%S")
    number = 1
    while name in taken or (out / name).exists():
        number += 1
        name = f"{first}-{number}"
    return name


def _manifest(name: str, content: Content, origin: _Origin) -> ExportManifest:
    turns_of = {person: sorted(row.turn_id for row in origin.rows if row.person == person) for person in origin.grants}
    return ExportManifest(
        name=name,
        created_at=origin.at.isoformat(),
        policy_versions=sorted({each for grant in origin.grants.values() for each in grant.policy_versions}),
        filter_version=FILTER_VERSION,
        people=list(origin.grants),
        turn_ids=sorted(row.turn_id for row in origin.rows),
        turns_of=turns_of,
        counts=export_files.counts_of(content.dialogues, content.held_out, content.preferences, turns_of),
        dropped=content.dropped,
        platforms=sorted({row.platform for row in origin.rows}),
        discord_permission=origin.permission,
        sha256={},
    )


@app.command()
def main(
    database: Annotated[Path | None, typer.Option(help="The bot's database; default: as the bot has it.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the exports.")] = Path("data/exports"),
    key_file: Annotated[Path | None, typer.Option(help="The key's file; default: as the bot has it.")] = None,
    retention_days: Annotated[
        float, typer.Option(min=0, help="Leave out what is older than so many days.")
    ] = _DEFAULTS.retention_days,
    k: Annotated[
        int, typer.Option(min=1, help="People who must have written a name, or a repeated long run of words.")
    ] = _DEFAULTS.k,
    user_share: Annotated[
        float, typer.Option(min=0, max=1, help="How much of an export one person may be.")
    ] = _DEFAULTS.user_share,
    user_floor: Annotated[
        int, typer.Option(min=0, help="Targets that everyone may have, whatever their share.")
    ] = _DEFAULTS.user_floor,
    discord_permission: Annotated[
        str | None, typer.Option(help="Reference of Discord's written permission; without it Discord is left out.")
    ] = None,
) -> None:
    """Export talk that people share for training."""
    options = ExportOptions(
        retention_days=retention_days,
        k=k,
        user_share=user_share,
        user_floor=user_floor,
        discord_permission=discord_permission,
    )
    with _plain_errors():
        if discord_permission is not None and not discord_permission.strip():
            raise BadOption("--discord-permission is empty; name the document in which Discord permits it.")
        exported = asyncio.run(_run(database, out, key_file, options))
    _tell(exported)


async def _run(database: Path | None, out: Path, key_file: Path | None, options: ExportOptions) -> Exported:
    settings = load_settings()
    path = database or settings.database
    if not path.exists():
        # Opening would create it.
        raise BadDatabase(f"{path}: 데이터베이스가 없어요. --database로 봇의 데이터베이스를 알려 주세요.")
    key = load_key(None if key_file else settings.key, key_file or settings.key_file, path)
    async with Store.open(path, Cipher(key.key)) as store:
        return await export_with_reasons(store, out, options=options)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (BotError, TrainingError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    except OSError as error:
        print(f"{error.filename}: cannot be written ({error.strerror}); check the path.", file=sys.stderr)
        raise typer.Exit(2) from error


def _tell(exported: Exported) -> None:
    console = Console()
    if exported.dropped:
        table = Table("Left out", "How many")
        for reason, count in exported.dropped.items():
            table.add_row(reason, f"{count:,}")
        console.print(table)
    if exported.folder is None:
        console.print("There is nothing to export: nobody shares anything that may be learnt.")
        return
    counts = export_files.read_manifest(exported.folder).counts
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    console.print(f"{exported.folder}: {told}.", soft_wrap=True)


if __name__ == "__main__":
    app()
