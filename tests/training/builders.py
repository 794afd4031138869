"""Small dialogues and checkpoints that the tests of the training commands start from."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from typer import Typer
from typer.testing import CliRunner, Result

from model import checkpoint as checkpoints
from model.chat_format import get_format, new_tokens
from model.checkpoint import Checkpoint
from model.dialogue import Role, SpeechLevel, Turn
from model.gpt2 import Shape, new_model
from model.manifest import Manifest
from model.tokenizer import train_tokenizer
from training.corpora import load_dialogues
from training.examples import Dialogue

DIALOGUES = Path(__file__).resolve().parent.parent / "fixtures" / "dialogues_small.jsonl"
TEXTS = (
    "오늘 점심 뭐 먹을까요? 떡볶이 어때요?",
    "나는 비 오는 날의 분위기를 좋아한다.",
    "요즘 잠을 잘 못 자서 피곤해요. 많이 힘들었겠네요.",
    "그 영화 진짜 재밌더라! 나도 보고 싶다 ㅋㅋㅋ",
)


def talk(
    *texts: str, persona: tuple[str, ...] = (), level: SpeechLevel | None = None, source: str = "test"
) -> Dialogue:
    """A dialogue in which the user opens and the two take turns."""
    turns = tuple(Turn(Role.BOT if index % 2 else Role.USER, text) for index, text in enumerate(texts))
    return Dialogue(turns, persona, level, source)


@cache
def _lines() -> list[str]:
    dialogues = load_dialogues([str(DIALOGUES)]).dialogues
    return [line for dialogue in dialogues for line in (*dialogue.persona, *(turn.text for turn in dialogue.turns))]


def tiny(name: str = "malbeot", positions: int = 256, dropout: float = 0.0) -> Checkpoint:
    """One layer with random weights over a tokenizer of the small dialogues, in chat format `name`."""
    tokenizer = train_tokenizer(_lines(), vocab_size=600)
    missing = [token for token in new_tokens(name) if token not in tokenizer.get_vocab()]
    tokenizer.add_tokens([AddedToken(token, special=True) for token in missing], special_tokens=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_model(tokenizer, Shape(layers=1, width=32, heads=2, positions=positions, dropout=dropout))
    return Checkpoint(model, tokenizer, get_format(name, tokenizer), Manifest("tiny", name))


def save_tiny(folder: Path, dropout: float = 0.0) -> Path:
    """`tiny` as a checkpoint folder."""
    checkpoints.save(tiny(dropout=dropout), folder)
    return folder


def invoke(app: Typer, *arguments: str | Path) -> Result:
    """Run a command in this process; an error it does not expect is the test's."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def logged(out: Path) -> list[dict[str, Any]]:
    """The log of the run that made `out`."""
    log: list[dict[str, Any]] = json.loads((out.with_name(out.name + ".run") / "loss.json").read_text(encoding="utf-8"))
    return log


def losses(out: Path) -> list[float]:
    """The logged losses of the run that made `out`."""
    return [entry["loss"] for entry in logged(out)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of a checkpoint folder."""
    state: dict[str, torch.Tensor] = checkpoints.load(folder).model.state_dict()
    return state
