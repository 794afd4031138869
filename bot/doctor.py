"""`python -m bot doctor`: looks at everything a start needs, changes nothing, and says what to fix."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from bot.errors import BotError
from bot.settings import Settings
from bot.store.cipher import Cipher, load_key
from bot.store.database import DatabaseState, check_database
from model.errors import ModelError
from model.manifest import check_folder, read_manifest

_TELEGRAM = re.compile(r"\d{5,}:[\w-]{30,}")
_DISCORD = re.compile(r"[\w-]{18,}\.[\w-]{4,}\.[\w-]{20,}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `text` says how it is, or what to fix."""

    healthy: bool
    subject: str
    text: str


def examine(settings: Settings, env_file: Path = Path(".env")) -> Iterator[Finding]:
    """Look at model, key, database and tokens, in the order a start needs them; and at files that others could read."""
    for subject, look in (("모델", _model), ("열쇠와 데이터베이스", _storage)):
        yield _finding(subject, look, settings)
    yield _token("텔레그램", "TELEGRAM_TOKEN", settings.telegram_token, _TELEGRAM)
    yield _token("디스코드", "DISCORD_TOKEN", settings.discord_token, _DISCORD)
    if orders := list(_closing(settings, env_file)):
        yield Finding(
            False, "파일 권한", f"이 컴퓨터의 다른 사람이 볼 수 있어요. 이렇게 닫아 주세요: {' && '.join(orders)}"
        )


def _finding(subject: str, look: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(True, subject, look(settings))
    except (BotError, ModelError) as error:
        return Finding(False, subject, str(error))


def _model(settings: Settings) -> str:
    folder = settings.model_folder()
    check_folder(folder)
    manifest = read_manifest(folder)
    return f"{folder} ({manifest.version}, 대화 형식 {manifest.format})" if manifest else f"{folder} (안내 파일 없음)"


def _storage(settings: Settings) -> str:
    if not settings.database.exists() and settings.key is None and not settings.key_file.exists():
        return f"아직 없어요. 처음 켤 때 {settings.key_file} 과 {settings.database} 를 만들어요."
    loaded = load_key(settings.key, settings.key_file, settings.database)
    state = check_database(settings.database, Cipher(loaded.key))
    if state is DatabaseState.NEW:
        return f"열쇠는 {loaded.source} 에 있고, 데이터베이스 {settings.database} 는 처음 켤 때 만들어요."
    return f"{settings.database} 를 {loaded.source} 의 열쇠로 열 수 있어요."


def _token(platform: str, name: str, token: SecretStr | None, shape: re.Pattern[str]) -> Finding:
    if token is None:
        return Finding(True, platform, f"쓰지 않아요. 쓰려면 .env에 {name} 을 적어 주세요.")
    if not shape.fullmatch(token.get_secret_value()):
        return Finding(False, platform, f"{name} 의 모양이 토큰 같지 않아요. 빠진 글자 없이 다시 복사해 주세요.")
    return Finding(True, platform, f"{name} 이 있어요.")


def _closing(settings: Settings, env_file: Path) -> Iterator[str]:
    """The commands that close what is too open: folders to 0700, files to 0600."""
    if os.name != "posix":
        return
    opened = [path for path in dict.fromkeys(_private(settings, env_file)) if path.stat().st_mode & 0o077]
    for mode, paths in (
        ("700", [path for path in opened if path.is_dir()]),
        ("600", [path for path in opened if not path.is_dir()]),
    ):
        if paths:
            yield f"chmod {mode} {' '.join(shlex.quote(str(path)) for path in paths)}"


def _private(settings: Settings, env_file: Path) -> Iterator[Path]:
    """What the bot keeps for itself: talk, key, tokens; their folders, and all backups, exports and jobs' logs."""
    data = settings.database.parent
    if settings.database.exists():
        yield data
        # With it the files that SQLite keeps beside it.
        yield from sorted(data.glob(f"{settings.database.name}*"))
        yield from sorted(data.glob("telegram-*.lock"))
    if settings.key_file.exists():
        yield settings.key_file.parent
        yield settings.key_file
    if settings.secrets() and env_file.exists():
        yield env_file
    for folder in (data / "backups", data / "jobs", settings.exports):
        if folder.is_dir():
            yield folder
            yield from sorted(folder.rglob("*"))
