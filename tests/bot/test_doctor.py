"""The doctor: what others could read is named with the command that closes it, and no secret is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bot.app import open_cipher
from bot.doctor import Finding, examine
from bot.metrics import Metrics
from bot.settings import Settings
from bot.store.store import Store
from tests.bot.store.helpers import say

TOKEN = "123456789:AAbbCCddEEffGGhhIIjjKKllMMnnOOpp-_q"
DISCORD_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789"


def settings_in(folder: Path) -> Settings:
    return Settings(
        database=folder / "data" / "my talk.db",
        key_file=folder / "keys" / "key",
        exports=folder / "data" / "exports",
        models=folder / "models",
        telegram_token=TOKEN,  # type: ignore[arg-type]
        discord_token=DISCORD_TOKEN,  # type: ignore[arg-type]
    )


def too_open(settings: Settings, env_file: Path) -> list[Finding]:
    return [finding for finding in examine(settings, env_file) if finding.subject == "파일 권한"]


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """After a first run."""
    found = settings_in(tmp_path)
    async with Store.open(found.database, open_cipher(found)) as store:
        await say(store, 1)
    return found


async def test_what_the_bot_writes_is_closed_while_it_runs_and_after(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with Store.open(settings.database, open_cipher(settings)) as store:
        await say(store, 1)
        beside = sorted(path.name for path in settings.database.parent.iterdir())
        assert beside == ["my talk.db", "my talk.db-shm", "my talk.db-wal"]
        assert {path.stat().st_mode & 0o777 for path in settings.database.parent.iterdir()} == {0o600}
        assert too_open(settings, tmp_path / ".env") == []
    assert settings.database.parent.stat().st_mode & 0o777 == 0o700
    assert settings.key_file.stat().st_mode & 0o777 == 0o600
    assert settings.key_file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
@pytest.mark.parametrize("name", ["data/my talk.db", "keys/key", ".env", "data/exports/a.jsonl", "data/backups/b.db"])
def test_a_file_that_is_too_open_is_named_with_what_closes_it(
    settings: Settings, tmp_path: Path, name: str, mode: int
) -> None:
    path = tmp_path / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch()
    path.chmod(mode)
    (finding,) = too_open(settings, tmp_path / ".env")
    assert not finding.healthy
    command = finding.text.partition(": ")[2]
    assert command.startswith("chmod 600 ") and path.name in command
    subprocess.run(command, shell=True, check=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert too_open(settings, tmp_path / ".env") == []


@pytest.mark.parametrize("name", ["data", "keys", "data/exports"])
def test_so_is_a_folder(settings: Settings, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    (finding,) = too_open(settings, tmp_path / ".env")
    subprocess.run(finding.text.partition(": ")[2], shell=True, check=True)
    assert path.stat().st_mode & 0o777 == 0o700


def test_an_env_file_without_secrets_may_be_open(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.touch(mode=0o644)
    bare = settings_in(tmp_path).model_copy(update={"telegram_token": None, "discord_token": None})
    assert too_open(bare, env) == []
    assert len(too_open(settings_in(tmp_path), env)) == 1


def test_nothing_the_doctor_says_holds_a_secret(settings: Settings, tmp_path: Path) -> None:
    key = settings.key_file.read_text(encoding="utf-8").strip()
    bent = settings.model_copy(update={"telegram_token": settings.discord_token})
    said = [finding.text for each in (settings, bent) for finding in examine(each, tmp_path / ".env")]
    assert len(said) == 8
    assert any("토큰 같지 않아요" in text for text in said)
    assert not any(secret in text for text in said for secret in (TOKEN, DISCORD_TOKEN, key))


def test_metrics_hold_no_secret() -> None:
    metrics = Metrics()
    metrics.failed(RuntimeError(f"https://api.telegram.org/bot{TOKEN}/getMe"))
    assert b"RuntimeError" in metrics.page()
    assert TOKEN.encode() not in metrics.page()
