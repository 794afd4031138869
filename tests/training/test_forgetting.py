"""Who leaves: every export is rewritten, models are tainted, also after a restore and whatever is killed when."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from bot.store.consents import Purpose
from bot.store.store import Store
from model.files import sha256, write_json
from model.manifest import Manifest, read_manifest
from tests.training.sharing import CIPHER, World, everything, manifest, records, world
from training import export_files
from training.errors import BadData
from training.export import export
from training.export_content import ExportOptions
from training.forgetting import COPY, Applied, apply_tombstones

LOOSE = ExportOptions(near_duplicates=100)


async def exported(here: World) -> Path:
    folder = await export(here.store, here.out, here.clock, LOOSE)
    assert folder is not None
    here.clock.pass_(seconds=1)
    return folder


async def apply(here: World) -> Applied:
    return await apply_tombstones(here.store, here.out, here.models, here.clock)


def make_model(here: World, version: str, *exports: str) -> None:
    (here.models / version).mkdir(parents=True)
    write_json(here.models / version / "manifest.json", asdict(Manifest(version, "malbeot", exports=exports)))


def tainted(here: World, version: str) -> bool:
    found = read_manifest(here.models / version)
    assert found is not None
    return found.tainted is not None


async def two_people(here: World) -> Path:
    for user, mark in (("1", " 하나"), ("2", " 둘")):
        await here.agree(user)
        await here.talk(user, mark=mark)
    return await exported(here)


async def test_who_is_forgotten_leaves_exports_and_taints_models(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        folder = await two_people(here)
        make_model(here, "of-both", folder.name, "another")
        make_model(here, "of-others", "another")
        (here.models / "current").write_text("of-others\n", encoding="utf-8")
        before = [record for record in records(folder) if record["person"] == here.person("2")]
        await here.store.forget(here.person("1"), 1)
        assert await apply(here) == Applied((folder.name,), ("of-both",))
        assert records(folder) == before
        assert "하나" not in everything(here.out)
        assert here.person("1") not in everything(folder)
        about = manifest(folder)
        assert about["people"] == [here.person("2")]
        assert about["turn_ids"] == about["turns_of"][here.person("2")]
        assert about["counts"]["turns"] == len(about["turn_ids"]) == 10
        assert about["sha256"] == {path.name: sha256([path]) for path in folder.glob("*.jsonl")}
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert (tainted(here, "of-both"), tainted(here, "of-others")) == (True, False)
        assert await here.store.waiting_tombstones() == 0
        assert await apply(here) == Applied()


async def test_the_last_to_leave_empties_the_export(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.agree("1")
        await here.talk()
        folder = await exported(here)
        await here.store.withdraw(here.person("1"), [Purpose.TRAINING], 1)
        await apply(here)
        assert records(folder) == []
        assert (manifest(folder)["people"], manifest(folder)["counts"]["dialogues"]) == ([], 0)


async def test_who_comes_back_stays_in_what_is_exported_since(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.agree("1")
        await here.talk(mark=" 옛")
        old = await exported(here)
        await here.store.withdraw(here.person("1"), [Purpose.TRAINING], 1)
        here.clock.pass_(seconds=1)
        await here.agree("1")
        await here.talk(mark=" 새")
        new = await exported(here)
        make_model(here, "new", new.name)
        assert (await apply(here)).exports == (old.name,)
        assert (records(old), len(records(new))) == ([], 1)
        assert "옛" not in everything(here.out)
        assert not tainted(here, "new")


async def test_models_of_exports_that_are_gone_are_tainted_too(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        folder = await two_people(here)
        make_model(here, "m", folder.name)
        shutil.rmtree(folder)
        await here.store.forget(here.person("1"), 1)
        assert await apply(here) == Applied((), ("m",))


async def test_what_cannot_be_read_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        folder = await two_people(here)
        broken = here.out / "20200101-000000"
        broken.mkdir()
        make_model(here, "broken")
        (here.models / "broken" / "manifest.json").write_text("{", encoding="utf-8")
        await here.store.forget(here.person("1"), 1)
        assert await apply(here) == Applied((folder.name,), (), (str(broken), str(here.models / "broken")))


async def test_a_restored_database_and_restored_exports_forget_again(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        folder = await two_people(here)
        shutil.copytree(here.out, tmp_path / "backup")
        await here.store._engine.dispose()
        shutil.copytree(tmp_path / "db", tmp_path / "db-backup")
        await here.store.forget(here.person("1"), 1)
        await apply(here)
        clock, name, person = here.clock, folder.name, here.person("1")
    shutil.rmtree(tmp_path / "exports" / name)
    shutil.copytree(tmp_path / "backup" / name, tmp_path / "exports" / name)
    async with Store.open(tmp_path / "db-backup" / "malbeot.db", CIPHER, now=clock) as restored:
        here = World(restored, clock, tmp_path)
        assert len((await restored.everything(person))["turns"]) == 10
        # An export that comes first must not bring back who has left.
        assert "하나" not in everything(await exported(here))
        assert (await restored.everything(person))["turns"] == []
        found = await apply(here)
        assert found.exports == (name,)
        assert "하나" not in everything(here.out)
        assert person not in await restored.grants()


async def test_tombstones_go_when_no_backup_is_that_old(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await two_people(here)
        await here.store.forget(here.person("1"), 1)
        here.clock.pass_(days=60)
        await apply(here)
        assert len(await here.store.tombstones()) == 1
        assert (here.out / COPY).stat().st_size > 0
        here.clock.pass_(days=31)
        await apply(here)
        assert await here.store.tombstones() == []
        await apply(here)
        assert (here.out / COPY).stat().st_size == 0


async def test_a_broken_copy_is_no_reason_to_forget_less(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await two_people(here)
        (here.out / COPY).write_text("{", encoding="utf-8")
        with pytest.raises(BadData, match=COPY):
            await apply(here)


@pytest.mark.parametrize("moment", ["new is ready", "old is away", "new is there"])
async def test_an_exchange_that_was_cut_off_is_mended(tmp_path: Path, moment: str) -> None:
    """The three states in which a kill can leave an export that is rewritten."""
    async with world(tmp_path) as here:
        folder = await two_people(here)
        await here.store.forget(here.person("1"), 1)
        old, new = here.out / f".old-{folder.name}", here.out / f".new-{folder.name}"
        shutil.copytree(folder, new)
        if moment != "new is ready":
            folder.rename(old)
        if moment == "new is there":
            new.rename(folder)
        await apply(here)
        assert [path.name for path in here.out.iterdir() if path.is_dir()] == [folder.name]
        assert manifest(folder)["people"] == [here.person("2")]
        assert "하나" not in everything(here.out)


async def test_partial_exports_of_the_dead_are_removed_and_of_the_living_not(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        partial = here.out / ".partial-x"
        partial.mkdir(parents=True)
        with export_files.making(here.out):
            await apply(here)
            assert partial.exists()
        await apply(here)
        assert not partial.exists()
