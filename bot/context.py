"""What of a conversation the model is shown. Pure; the encoder then fits it to the token budget."""

from __future__ import annotations

from collections.abc import Sequence

from model.dialogue import DialogueContext, Role, SpeechLevel, Turn

# More turns than the shipped model can read at once; reading them costs the same however long the history is.
WINDOW = 32
# The window's start moves in steps: between two steps the prompt only grows, and what was computed can be reused.
STEP = 16
LOADED_TURNS = WINDOW + STEP


def build_context(
    persona: tuple[str, ...],
    level: SpeechLevel,
    newest: Sequence[Turn],
    total: int,
    said: str,
    avoid: tuple[str, ...] = (),
) -> DialogueContext:
    """The context for answering `said`.

    `newest`: the last turns of the history, at most LOADED_TURNS, oldest first; `total`: how many it has in all.
    """
    start = -(-max(0, total - WINDOW) // STEP) * STEP
    keep = min(len(newest), total - start)
    history = tuple(newest[len(newest) - keep :])
    return DialogueContext(persona, (*history, Turn(Role.USER, said)), level, avoid)
