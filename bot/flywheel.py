"""What the scheduled jobs do: consented talk becomes exports, exports a better model, and the better model answers.

The heavy parts are programs of `training`, run apart; each leaves what was there, or something whole and new.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from bot.apart import Ended, run_apart
from bot.backup import back_up, backups, put_back, thin_out
from bot.errors import JobFailed
from bot.settings import Settings
from bot.store.cipher import Cipher
from bot.store.store import Store, utc_now
from model.errors import ModelError
from model.manifest import MANIFEST, read_manifest
from training.errors import TrainingError
from training.forgetting import Applied, apply_tombstones, bury_again, drop_exports

# Memory is kept until it is asked to be forgotten, or nobody has talked for so long; exports for as long.
IDLE = timedelta(days=180)
# So long a model may serve after somebody it learnt from has left; a weekly retrain comes twice in that time.
TAINTED = timedelta(days=14)
# Replies of a candidate that are searched for people's data. Nobody waits for it at night.
_GENERATIONS = 10_000


class Swappable(Protocol):
    """An engine that can go over to another model while it runs."""

    async def swap(self, model: Path) -> None:
        """Serve the checkpoint in the folder `model` from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies."""

    database: Path
    exports: Path
    models: Path
    backups: Path
    logs: Path


def places(settings: Settings) -> Places:
    """The places the settings name, and those beside the database."""
    home = settings.database.parent
    return Places(settings.database, settings.exports, settings.models, home / "backups", home / "jobs")


class Flywheel:
    """The work of the jobs, over a store and an engine."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        engine: Swappable,
        cipher: Cipher,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._places = places(settings)
        self._store = store
        self._engine = engine
        self._cipher = cipher
        self._now = now
        self._serving = settings.model_folder().resolve()
        self._refused: Path | None = None
        self._looked_back = False

    async def export(self) -> str:
        """Write what people shared since they agreed into a new export."""
        ended = await self._program(
            "training.export", *_options(database=self._places.database, out=self._places.exports)
        )
        return ended.last_line

    async def retrain(self) -> str:
        """Fine-tune on exports no model has learnt from, where there are enough, and promote what is better."""
        if not self._settings.retrain:
            return "다시 배우기는 꺼져 있어요(MALBEOT_RETRAIN)."
        count = await asyncio.to_thread(new_dialogues, self._places.exports, self._known_exports())
        if count < self._settings.retrain_after:
            return f"새 대화가 {count}개예요. {self._settings.retrain_after}개가 모이면 배워요."
        folders = _options(exports=self._places.exports, models=self._places.models)
        before = _versions(self._places.models)
        learnt = await self._program("training.finetune", *folders)
        new = _versions(self._places.models) - before
        if len(new) != 1:
            return learnt.last_line
        canary = ("--canary",) if self._settings.candidate_share > 0 else ()
        looked_through = ("--generations", str(_GENERATIONS))
        promoted = await self._program("training.promote", *new, *folders, *looked_through, *canary, refusal=1)
        return promoted.last_line

    async def forget(self) -> str | None:
        """Take whoever asked to be forgotten out of exports, and mark the models that learnt from them.

        Also once at the start: the database may be a backup that was put back.
        """
        if self._looked_back and await self._store.waiting_tombstones() == 0:
            return None
        try:
            applied = await apply_tombstones(self._store, self._places.exports, self._places.models, self._now)
        except TrainingError as error:
            raise JobFailed(str(error)) from error
        self._looked_back = True
        if applied.unreadable:
            raise JobFailed(f"읽을 수 없는 내보내기나 모델이 있어요: {', '.join(applied.unreadable)}")
        if applied == Applied():
            return None
        done = f"내보내기 {len(applied.exports)}개를 고치고 모델 {len(applied.models)}개에 표시했어요."
        return f"{done} 되살린 데이터베이스에서 {applied.restored}명을 다시 잊었어요." if applied.restored else done

    async def follow_model(self) -> str | None:
        """Serve the model that the pointer names, once it names another one."""
        wanted = self._settings.model_folder().resolve()
        if wanted in (self._serving, self._refused):
            return None
        try:
            await self._engine.swap(wanted)
        except ModelError:
            # Once is enough; the old model goes on answering.
            self._refused = wanted
            raise
        self._serving, self._refused = wanted, None
        return f"이제 {wanted.name} 모델이 대답해요."

    async def purge(self) -> str:
        """Delete what is past its time."""
        now = self._now()
        await self._store.purge()
        idle = await self._store.forget_idle(now - IDLE)
        exports = await drop_exports(self._places.exports, now - IDLE)
        retired = await self._retire(now)
        return f"오래 쉰 대화 {idle}개와 오래된 내보내기 {exports}개를 지웠어요.{retired}"

    async def _retire(self, now: datetime) -> str:
        """Go back to a model that nobody has left, where no retrain has taken the tainted one's place in time."""
        folder = self._settings.model_folder()
        manifest = read_manifest(folder)
        if self._settings.model is not None or manifest is None or manifest.tainted is None:
            return ""
        # The manifest was last written when it was marked.
        marked = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
        if now - marked <= TAINTED:
            return ""
        why = f"tainted for more than {TAINTED.days} days"
        await self._program("training.rollback", *_options(models=self._places.models), "--why", why)
        return f" 떠난 분의 말로 배운 {folder.name} 모델을 물렸어요."

    async def back_up(self) -> str:
        """Copy the database, try the copy out, and delete copies that are past their time."""
        made = await asyncio.to_thread(back_up, self._places.database, self._places.backups, self._cipher, self._now())
        await asyncio.to_thread(thin_out, self._places.backups, self._now())
        return f"{made.name} 으로 백업하고 되살아나는지 확인했어요(모두 {len(backups(self._places.backups))}개)."

    def _known_exports(self) -> set[str]:
        manifest = read_manifest(self._settings.model_folder())
        return set(manifest.exports) if manifest else set()

    async def _program(self, module: str, *arguments: str, refusal: int = 0) -> Ended:
        """Run a program of `training` to its end. Raises JobFailed unless it ends with 0, or `refusal`."""
        log = self._places.logs / f"{module.rpartition('.')[2]}.log"
        ended = await run_apart([module, *arguments], log)
        if ended.status not in (0, refusal):
            raise JobFailed(f"{module}: {ended.last_line} (자세한 기록: {log})")
        return ended


def _options(**values: Path) -> Sequence[str]:
    return [part for name, value in values.items() for part in (f"--{name}", os.fspath(value))]


def _versions(models: Path) -> set[str]:
    return {path.parent.name for path in models.glob("*/config.json")}


def new_dialogues(exports: Path, known: set[str]) -> int:
    """How many dialogues the exports hold that are in none of the exports `known`. Exports overlap."""
    old: set[str] = set()
    new: set[str] = set()
    for file in exports.glob("*/dialogues-*.jsonl"):
        ids = {json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()}
        (old if file.parent.name in known else new).update(ids)
    return len(new - old)


async def restore(settings: Settings, backup: Path, cipher: Cipher, now: datetime) -> tuple[Path | None, int]:
    """Put a backup back, and forget again whoever was forgotten since it was made.

    Returns where the database that was there lies now, and how many were forgotten again. Raises BackupFailed,
    BadDatabase, WrongKey and JobFailed.
    """
    where = places(settings)
    aside = await asyncio.to_thread(put_back, backup, where.database, where.backups, cipher, now)
    async with Store.open(where.database, cipher) as store:
        try:
            return aside, await bury_again(store, where.exports, now)
        except TrainingError as error:
            raise JobFailed(str(error)) from error
