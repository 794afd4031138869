"""The work of the scheduled jobs; their programs and the whole turn of the wheel are in tests/test_flywheel.py."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import JobFailed
from bot.flywheel import IDLE, TAINTED, Flywheel, new_dialogues, places, restore
from bot.messages import ConversationKey
from bot.settings import SHIPPED, Settings
from bot.store.cipher import Cipher
from bot.store.store import Exchange, Store
from model.dialogue import Source
from model.errors import BadCheckpoint
from model.files import write_json
from model.manifest import MANIFEST, point_current, read_manifest
from tests.model.conftest import make_checkpoint

CIPHER = Cipher(bytes(32))
CHAT = ConversationKey("telegram", "1")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Engine:
    """Remembers what it was asked to serve."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.broken: set[str] = set()

    async def swap(self, model: Path) -> None:
        self.served.append(model.name)
        if model.name in self.broken:
            raise BadCheckpoint("broken")


class Wheel:
    """A flywheel, and what it works on."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.engine = Engine()
        self.now = NOW
        self.flywheel = Flywheel(settings, store, self.engine, CIPHER, lambda: self.now)


@asynccontextmanager
async def wheel(folder: Path, **settings: object) -> AsyncIterator[Wheel]:
    given = Settings(
        database=folder / "m.db",
        models=folder / "models",
        exports=folder / "exports",
        **settings,  # type: ignore[arg-type]
    )
    async with Store.open(given.database, CIPHER, lambda: NOW) as store:
        yield Wheel(given, store)


def exchange(text: str, person: str = "somebody") -> Exchange:
    return Exchange(text, f"{text}!", "v1", Source.GENERATOR, NOW, person)


def write_export(exports: Path, name: str, ids: Iterable[int]) -> None:
    (exports / name).mkdir(parents=True)
    lines = [json.dumps({"id": str(number)}) + "\n" for number in ids]
    (exports / name / "dialogues-000.jsonl").write_text("".join(lines), encoding="utf-8")


async def test_the_pointer_is_followed_once(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        make_checkpoint(tmp_path / "models" / version, "malbeot")
    async with wheel(tmp_path) as it:
        assert await it.flywheel.follow_model() is None
        point_current(tmp_path / "models", "v1")
        assert "v1" in (await it.flywheel.follow_model() or "")
        assert await it.flywheel.follow_model() is None
        point_current(tmp_path / "models", "v2")
        await it.flywheel.follow_model()
        (tmp_path / "models" / "current").unlink()
        await it.flywheel.follow_model()
    assert it.engine.served == ["v1", "v2", SHIPPED.name]


async def test_a_model_that_cannot_be_loaded_is_tried_once(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "models" / "v1", "malbeot")
    async with wheel(tmp_path) as it:
        it.engine.broken = {"v1"}
        point_current(tmp_path / "models", "v1")
        with pytest.raises(BadCheckpoint):
            await it.flywheel.follow_model()
        assert await it.flywheel.follow_model() is None
        assert it.engine.served == ["v1"]


async def test_a_model_that_was_chosen_by_hand_stays(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "models" / "v1", "malbeot")
    async with wheel(tmp_path, model=SHIPPED) as it:
        point_current(tmp_path / "models", "v1")
        assert await it.flywheel.follow_model() is None


async def test_what_is_idle_for_long_goes(tmp_path: Path) -> None:
    async with wheel(tmp_path) as it:
        await it.store.add_exchange(CHAT, exchange("안녕"))
        it.now = NOW + IDLE
        await it.flywheel.purge()
        assert (await it.store.history(CHAT, 10)).turns
        it.now += timedelta(seconds=1)
        assert "1개" in await it.flywheel.purge()
        assert not (await it.store.history(CHAT, 10)).turns


async def test_a_backup_put_back_forgets_again(tmp_path: Path) -> None:
    async with wheel(tmp_path) as it:
        await it.store.add_exchange(CHAT, exchange("나를 잊어 줘"))
        await it.store.add_exchange(CHAT, exchange("나는 기억해 줘", "another"))
        await it.flywheel.back_up()
        it.now += timedelta(hours=1)
        await it.store.forget("somebody", 1)
        await it.flywheel.forget()
        backup = next(places(it.settings).backups.iterdir())
    aside, forgotten = await restore(it.settings, backup, CIPHER, it.now)
    assert aside is not None
    assert forgotten == 1
    async with Store.open(it.settings.database, CIPHER) as store:
        kept = [turn.text for turn in (await store.history(CHAT, 10)).turns]
    assert kept == ["나는 기억해 줘", "나는 기억해 줘!"]


async def test_nothing_is_learnt_from_little(tmp_path: Path) -> None:
    async with wheel(tmp_path, retrain_after=10) as it:
        assert "0개" in await it.flywheel.retrain()
        write_export(tmp_path / "exports", "20261120-030000", range(9))
        assert "9개" in await it.flywheel.retrain()
    async with wheel(tmp_path, retrain=False) as it:
        assert "꺼져" in await it.flywheel.retrain()


def test_exports_a_model_has_learnt_from_are_not_new(tmp_path: Path) -> None:
    write_export(tmp_path, "20261120-030000", range(9))
    write_export(tmp_path, "20261121-030000", range(4, 14))
    assert new_dialogues(tmp_path, set()) == 14
    assert new_dialogues(tmp_path, {"20261120-030000"}) == 5
    assert new_dialogues(tmp_path / "missing", set()) == 0


async def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    async with wheel(tmp_path) as it:
        (tmp_path / "exports").write_text("in the way", encoding="utf-8")
        with pytest.raises(JobFailed, match=r"training\.export"):
            await it.flywheel.export()


async def test_old_exports_go(tmp_path: Path) -> None:
    write_export(tmp_path / "exports", "20260101-030000", range(3))
    write_export(tmp_path / "exports", "20261120-030000", range(3))
    async with wheel(tmp_path) as it:
        assert "내보내기 1개" in await it.flywheel.purge()
    assert [path.name for path in (tmp_path / "exports").glob("2*")] == ["20261120-030000"]


@pytest.mark.slow
async def test_a_tainted_model_is_retired_after_a_while(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "models" / "v1", "malbeot")
    point_current(tmp_path / "models", "v1")
    manifest = read_manifest(folder)
    assert manifest is not None
    write_json(folder / MANIFEST, asdict(replace(manifest, tainted="somebody left")))
    marked = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
    async with wheel(tmp_path) as it:
        it.now = marked + TAINTED
        await it.flywheel.purge()
        assert it.settings.model_folder() == folder
        it.now += timedelta(minutes=1)
        assert "물렸어요" in await it.flywheel.purge()
        assert it.settings.model_folder() == SHIPPED
