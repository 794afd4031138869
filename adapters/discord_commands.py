"""The menu of commands as Discord shows it, and telling Discord only when it has changed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import discord
from discord import app_commands
from discord.http import Route

from adapters.discord_buttons import CORRECTION_TITLE
from adapters.discord_errors import insist
from adapters.errors import without_texts
from bot.messages import CommandInfo

# Korean names, and English descriptions for people whose Discord speaks another language.
_KNOWN = {
    "start": ("시작", "Meet me and choose what I may keep"),
    "help": ("도움말", "What I can do"),
    "persona": ("페르소나", "See or set who I am here"),
    "speech": ("말투", "See or set how politely I speak"),
    "reset": ("새로시작", "Forget this conversation and start anew"),
    "retry": ("다시", "Answer the last message once more"),
    "privacy": ("개인정보", "How your words are handled"),
    "consent": ("동의", "Choose what I may keep and learn from"),
    "withdraw": ("동의철회", "Take your consent back"),
    "mydata": ("내정보", "Everything I keep about you, as a file"),
    "forget": ("잊어줘", "Delete everything I keep about you"),
}
_ARGUMENT = "text"
_ARGUMENT_DESCRIPTION = "Optional"
_INSTALLS = app_commands.AppInstallationType(guild=True, user=True)
_CONTEXTS = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
# What Discord tells back of a command, and we may change.
_COMPARED = (
    "name",
    "type",
    "description",
    "name_localizations",
    "description_localizations",
    "contexts",
    "integration_types",
)

_log = logging.getLogger(__name__)


class Commanded(Protocol):
    """Who handles commands."""

    async def commanded(self, interaction: discord.Interaction, name: str, argument: str) -> None:
        """A slash command was called."""
        ...

    async def offer_correction(self, interaction: discord.Interaction, message: discord.Message) -> None:
        """The menu of a message was used."""
        ...


class Tree(app_commands.CommandTree[Any]):
    """The commands; an error in one is logged without what was said."""

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """Called by the library."""
        _log.error("A command failed: %s", without_texts(error.__cause__ or error))


class _Korean(app_commands.Translator):
    """Takes the Korean text that a string carries."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        return string.extras.get("ko") if locale is discord.Locale.korean else None


async def fill_tree(tree: Tree, commands: Sequence[CommandInfo], handler: Commanded) -> None:
    """Add everything that can be called: commands for servers and persons, and the menu of a message."""
    await tree.set_translator(_Korean())
    for info in commands:
        tree.add_command(_command(info, handler))

    async def correct(interaction: discord.Interaction, message: discord.Message) -> None:
        await handler.offer_correction(interaction, message)

    menu = app_commands.ContextMenu(
        name=CORRECTION_TITLE, callback=correct, allowed_contexts=_CONTEXTS, allowed_installs=_INSTALLS
    )
    tree.add_command(menu)


def _command(info: CommandInfo, handler: Commanded) -> app_commands.Command[Any, ..., None]:
    async def bare(interaction: discord.Interaction) -> None:
        await handler.commanded(interaction, info.name, "")

    async def with_argument(interaction: discord.Interaction, argument: str | None = None) -> None:
        await handler.commanded(interaction, info.name, argument or "")

    callback: Callable[..., Awaitable[None]] = bare
    if info.argument is not None:
        korean = info.argument.replace(" ", "_").casefold()[:32]
        app_commands.rename(argument=app_commands.locale_str(_ARGUMENT, ko=korean))(with_argument)
        app_commands.describe(argument=app_commands.locale_str(_ARGUMENT_DESCRIPTION, ko=info.argument[:100]))(
            with_argument
        )
        callback = with_argument
    korean_name, english = _KNOWN.get(info.name, (None, info.description))
    return app_commands.Command(
        name=app_commands.locale_str(info.name, ko=korean_name),
        description=app_commands.locale_str(english[:100], ko=info.description[:100]),
        callback=callback,  # type: ignore[arg-type]  # which of the two it is, the library finds out
        allowed_contexts=_CONTEXTS,
        allowed_installs=_INSTALLS,
    )


async def sync_if_changed(tree: Tree) -> bool:
    """Tell Discord what can be called, unless it knows: such updates are counted by the day.

    Discord itself keeps the last state, so nothing is kept here. False where nothing had changed.
    """
    client = tree.client
    route = Route("GET", "/applications/{application_id}/commands", application_id=client.application_id)
    # The library's own `fetch_commands` leaves the translations out.
    present = await insist(lambda: client.http.request(route, params={"with_localizations": "true"}))
    assert tree.translator is not None
    wanted = [await command.get_translated_payload(tree, tree.translator) for command in tree.get_commands()]
    if _compared(present) == _compared(wanted):
        return False
    await insist(tree.sync)
    _log.info("The command menu was updated.")
    return True


def _compared(commands: Sequence[Mapping[str, Any]]) -> dict[tuple[int, str], dict[str, Any]]:
    """Commands by type and name, in a form that is equal where they are; Discord leaves empty things out, or not."""
    return {
        (command.get("type", 1), command["name"]): {
            **_cleaned(command, _COMPARED),
            "options": [_cleaned(option, (*_COMPARED, "required")) for option in command.get("options") or []],
        }
        for command in commands
    }


def _cleaned(item: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The named fields that say something; lists in a fixed order."""
    return {
        name: sorted(item[name]) if isinstance(item[name], list) else item[name] for name in names if item.get(name)
    }
