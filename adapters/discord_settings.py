"""What the Discord adapter is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.messages import CommandInfo

# Commands about one person alone. What they answer is for that person's eyes.
PRIVATE_COMMANDS = frozenset(
    {"start", "help", "persona", "speech", "privacy", "consent", "withdraw", "mydata", "forget"}
)


@dataclass(frozen=True, slots=True)
class Backfill:
    """How much of what was missed is looked for: the newest `conversations`, up to `messages` each, `hours` back."""

    conversations: int = 500
    messages: int = 200
    hours: float = 24.0


@dataclass(frozen=True, slots=True)
class DiscordSettings:
    """`api_url` (with its version path) and `gateway_url` take the place of Discord's own.

    `private_commands` are answered so that only the asker sees it: Discord wants to know before the answer exists.
    `heartbeat_timeout` is how many seconds of silence make a dead connection.
    """

    token: str = field(repr=False)
    commands: tuple[CommandInfo, ...] = ()
    api_url: str | None = None
    gateway_url: str | None = None
    sharded: bool = False
    private_commands: frozenset[str] = PRIVATE_COMMANDS
    backfill: Backfill = Backfill()
    heartbeat_timeout: float = 60.0
