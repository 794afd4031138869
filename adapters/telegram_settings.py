"""What Telegram's adapter needs to know, and the errors it ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from adapters.errors import AdapterError
from bot.messages import CommandInfo

PLATFORM = "telegram"

BAD_TOKEN = "텔레그램이 TELEGRAM_TOKEN을 모른다고 해요. @BotFather에게서 받은 토큰을 .env에 다시 적어 주세요."
ALREADY_RUNNING = (
    "같은 TELEGRAM_TOKEN을 쓰는 말벗이 이 컴퓨터에서 이미 돌고 있어요. "
    "그쪽을 먼저 끄거나, @BotFather에게서 다른 토큰을 받아 .env에 적어 주세요."
)
BAD_LOCK = "중복 실행을 막는 잠금 파일을 만들 수 없어요({reason}). {folder} 폴더에 쓸 수 있게 해 주세요."
BAD_WEBHOOK = "텔레그램이 웹훅 주소를 받지 않아요({reason}). https://로 시작하는, 밖에서 열리는 주소를 적어 주세요."
BAD_PORT = "웹훅을 들을 포트 {port}를 열 수 없어요({reason}). 다른 포트를 적거나 그 포트를 쓰는 프로그램을 꺼 주세요."
REFUSED = "텔레그램이 이 메시지를 받지 않았어요({reason}). 같은 일이 이어지면 로그와 함께 알려 주세요."


class AlreadyRunning(AdapterError):
    """Another process on this machine serves the same token."""


class LockFailed(AdapterError):
    """The lock file cannot be written."""


class BadWebhook(AdapterError):
    """The webhook has an address that Telegram refuses, or a port that is not free."""


class MessageRefused(AdapterError):
    """Telegram refuses this one message, and would again."""


@dataclass(frozen=True, slots=True)
class TelegramWebhook:
    """Telegram calls `url` (public, https), which has to lead to `port` here; the path is taken from `url`.

    Without `secret` one is derived from the token; only calls that carry it are believed.
    """

    url: str
    port: int
    host: str = "0.0.0.0"
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TelegramSettings:
    """`api_url` is the Bot API server, by default Telegram's own. Updates are polled for unless `webhook` is given.

    `lock_path` is the folder of the file that keeps a second process from serving the same token.
    """

    token: str = field(repr=False)
    lock_path: Path
    commands: tuple[CommandInfo, ...] = ()
    api_url: str | None = None
    webhook: TelegramWebhook | None = None
