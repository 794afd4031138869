"""Exports as a whole: whose talk is in them, what the manifest says, and the command."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.store.consents import Purpose
from bot.store.store import Store
from model.files import sha256
from tests.training.sharing import LINES, World, everything, manifest, records, world
from training.corpora import load_dialogues
from training.export import app, export, export_with_reasons
from training.export_content import ExportOptions
from training.export_files import ExportRunning, making

PERMITTED = ExportOptions(discord_permission="letter 7")


async def exported(here: World, options: ExportOptions | None = None) -> Path:
    folder = await export(here.store, here.out, here.clock, options or ExportOptions())
    assert folder is not None
    return folder


async def test_only_who_agreed_to_both_is_exported(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.agree("1")
        await here.store.decide(here.person("2"), Purpose.MEMORY, True, 1)
        for user, mark in (("1", " 하나"), ("2", " 둘"), ("3", " 셋")):
            await here.talk(user, mark=mark)
        folder = await exported(here)
        (dialogue,) = records(folder, "dialogues-*") + records(folder, "held_out")
        assert [turn["text"] for turn in dialogue["turns"]] == [
            f"{text} 하나" for said, replied in LINES for text in (said, replied)
        ]
        assert (dialogue["person"], dialogue["speech"]) == (here.person("1"), "해요체")
        # The last reply was not answered: nobody knows whether it was any good.
        assert dialogue["targets"] == [1, 3, 5, 7]
        about = manifest(folder)
        assert about["people"] == [here.person("1")]
        assert about["turns_of"] == {here.person("1"): about["turn_ids"]}
        assert len(about["turn_ids"]) == about["counts"]["turns"] == 10
        assert (about["policy_versions"], about["platforms"], about["discord_permission"]) == ([1], ["telegram"], None)


async def test_files_are_private_and_hashed_and_can_be_imported(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for user in "12345678":
            await here.agree(user)
            await here.talk(user, mark=f" {user}")
        folder = await exported(here, ExportOptions(near_duplicates=100))
        assert folder.name == here.clock().strftime("%Y%m%d-%H%M%S")
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert {path.stat().st_mode & 0o777 for path in (folder, here.out)} == {0o700}
        files = {path.name: sha256([path]) for path in folder.glob("*.jsonl")}
        assert manifest(folder)["sha256"] == files
        assert files.keys() >= {"dialogues-000.jsonl", "held_out.jsonl", "preferences.jsonl"}
        corpus = load_dialogues([str(folder / "dialogues-000.jsonl")])
        assert len(corpus.dialogues) == manifest(folder)["counts"]["dialogues"]
        assert corpus.problems == ()


async def test_discord_and_the_terminal_are_left_out(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for platform in ("telegram", "discord", "console"):
            await here.agree("1", platform=platform)
            await here.talk("1", platform=platform, mark=f" {platform}")
        assert "discord" not in everything(await exported(here)).replace("discord_permission", "")
        here.clock.pass_(hours=1)
        permitted = await exported(here, PERMITTED)
        assert "하늘이 참 맑아요 discord" in everything(permitted)
        assert "console" not in everything(permitted)
        assert manifest(permitted)["discord_permission"] == "letter 7"
        assert manifest(permitted)["platforms"] == ["discord", "telegram"]
    with sqlite3.connect(tmp_path / "db" / "malbeot.db") as connection:
        rows = connection.execute("SELECT DISTINCT platform, permission FROM exported_turns").fetchall()
        assert set(rows) == {("telegram", None), ("discord", "letter 7")}
        assert connection.execute("SELECT permission FROM exports ORDER BY name").fetchall() == [
            (None,),
            ("letter 7",),
        ]
    connection.close()


async def test_discord_alone_is_nothing_to_export(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.agree("1", platform="discord")
        await here.talk("1", platform="discord")
        assert await export(here.store, here.out, here.clock) is None
        assert [path.name for path in here.out.iterdir()] == [".making.lock"]


async def test_old_talk_is_left_out(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.agree("1")
        await here.talk(mark=" 옛날")
        here.clock.pass_(days=20)
        await here.talk(mark=" 요즘")
        here.clock.pass_(days=15)
        text = everything(await exported(here))
        assert "옛날" not in text
        assert "요즘" in text


async def test_the_same_database_and_time_give_the_same_bytes(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for user in "123":
            await here.agree(user)
            await here.talk(user, mark=f" {user}")
        first = await exported(here)
        second = await export(here.store, tmp_path / "elsewhere", here.clock)
        assert second is not None
        assert second.name == f"{first.name}-2"
        same = [path.name for path in first.iterdir() if path.name != "manifest.json"]
        assert {name: (first / name).read_bytes() for name in same} == {
            name: (second / name).read_bytes() for name in same
        }
        assert manifest(first) == manifest(second) | {"name": first.name}


async def test_who_takes_it_back_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    class Hasty(Store):
        """Somebody withdraws after the export has read, and before it is noted."""

        async def export_names(self) -> set[str]:
            if (await self.grants()).keys() >= {who}:
                await self.withdraw(who, [Purpose.TRAINING], 1)
            return await super().export_names()

    async with world(tmp_path) as here:
        await here.agree("1", "2")
        await here.talk("1", mark=" 하나")
        await here.talk("2", mark=" 둘")
        who = here.person("2")
        hasty = Hasty(here.store._engine, here.store._cipher, here.clock)
        folder = await export(hasty, here.out, here.clock)
        assert folder is not None
        assert "둘" not in everything(folder)
        assert manifest(folder)["people"] == [here.person("1")]
        assert [path.name for path in here.out.iterdir() if path.name.startswith(".partial")] == []


async def test_one_export_at_a_time(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        with making(here.out), pytest.raises(ExportRunning, match="wait"):
            await export(here.store, here.out, here.clock)
        assert await export(here.store, here.out, here.clock) is None


async def test_reasons_are_counted_also_without_an_export(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.agree("1")
        await here.say("병원에 입원했어요", "많이 힘드시겠어요.")
        result = await export_with_reasons(here.store, here.out, here.clock)
        assert (result.folder, result.dropped) == (None, {"health": 1})


KEY = base64.b64encode(bytes(32)).decode()


def invoke(folder: Path, *arguments: str) -> Result:
    (folder / "key").write_text(KEY, encoding="utf-8")
    options = ["--database", str(folder / "db" / "malbeot.db"), "--key-file", str(folder / "key")]
    return CliRunner().invoke(app, [*options, "--out", str(folder / "exports"), *arguments])


async def fill(folder: Path) -> None:
    async with world(folder) as here:
        await here.agree("1")
        await here.talk(mark=" 하나")
        await here.say("병원에 입원했어요", "많이 힘드시겠어요.")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(fill(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = invoke(tmp_path, "--retention-days", "36500")
    assert done.exit_code == 0, done.stderr
    assert "health" in done.stdout
    (folder,) = (path for path in (tmp_path / "exports").iterdir() if path.is_dir())
    assert f"{folder}: " in done.stdout
    assert "하나" in everything(folder)
    long_ago = invoke(tmp_path, "--retention-days", "0")
    assert (long_ago.exit_code, "nothing to export" in long_ago.stdout) == (0, True)


def test_the_command_says_plainly_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = invoke(tmp_path)
    assert (missing.exit_code, len(missing.stderr.splitlines())) == (2, 1)
    assert "malbeot.db" in missing.stderr
    empty = invoke(tmp_path, "--discord-permission", " ")
    assert empty.exit_code == 2
    assert "--discord-permission" in empty.stderr
    assert not (tmp_path / "db").exists()
