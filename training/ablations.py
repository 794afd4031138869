"""`python -m training.ablations --corpora DIR`: the recipe on a small budget, whole and with each part left out.

Every variant sees about as many tokens as the whole recipe here does, a tenth of what the default model saw, so that a
part is told from mere training. `python -m training.evaluate` then measures all of them in one table.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from transformers import set_seed

from model import checkpoint
from model.gpt2 import Shape
from training import options
from training.corpora import write_dialogues
from training.errors import BadOption
from training.pretrain import Material, start
from training.recipe import AUTHORED, DEFAULT, OWN, RECIPES, Corpora, Recipe, read_corpora, train_stages
from training.trainer import TrainOptions

# Tokens of an optimiser step: 16 and 8 full rows of 256, and 32 replies with what was said before them.
_TEXT_STEP, _DIALOGUE_STEP, _REPLY_STEP = 16 * 256, 8 * 256, 5_500


@dataclass(frozen=True, slots=True)
class Variant:
    """A recipe that differs in one part from the whole one. `own_only`: of the dialogues the project's own alone."""

    recipe: Recipe
    own_only: bool = False


def variants(whole: Recipe, tokens: int) -> Mapping[str, Variant]:
    """The whole recipe and those that lack one part, each for about `tokens` tokens, by name."""

    def steps(settings: TrainOptions, share: float, of_a_step: int) -> TrainOptions:
        return replace(settings, max_steps=max(1, round(tokens * share / of_a_step)), resume=False)

    text, replies = whole.text, whole.replies
    assert text is not None and replies is not None
    dialogues, replies = whole.dialogues, steps(replies, 0.3, _REPLY_STEP)
    small = replace(
        whole,
        passes=1,
        text=steps(text, 0.2, _TEXT_STEP),
        dialogues=steps(dialogues, 0.5, _DIALOGUE_STEP),
        replies=replies,
    )
    no_text = replace(small, text=None, dialogues=steps(dialogues, 0.7, _DIALOGUE_STEP))
    return {
        "whole": Variant(small),
        "no-texts": Variant(no_text),
        "no-replies-stage": Variant(replace(small, replies=None, dialogues=steps(dialogues, 0.8, _DIALOGUE_STEP))),
        "no-typing-noise": Variant(replace(small, noise_share=0.0)),
        "no-other-values": Variant(replace(small, slot_copies=0)),
        "no-default-persona": Variant(replace(small, persona_share=0.0)),
        "no-next-utterance": Variant(replace(small, replies=replace(replies, choice_weight=0.0))),
        "own-dialogues-only": Variant(small, own_only=True),
        "two-layers": Variant(replace(small, shape=replace(small.shape, layers=2))),
        "half-width": Variant(replace(small, shape=replace(small.shape, width=small.shape.width // 2))),
    }


def train_variants(whole: Recipe, tokens: int, corpora: Corpora, tokenizer: Path, work: Path) -> list[Path]:
    """Train what is not trained yet; the folders of the checkpoints, the untrained one first.

    Stages in which a variant is the whole recipe are taken from it.
    """
    every = variants(whole, tokens)
    set_seed(whole.seed)
    folders = [_untrained(whole.shape, tokenizer, work / "untrained")]
    for name, variant in every.items():
        print(f"{name}:", flush=True)
        set_seed(whole.seed)
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        for stage in _shared(variant, every["whole"]):
            if not (folder / stage).exists():
                shutil.copytree(work / "whole" / stage, folder / stage)
        chat = tuple(each for each in corpora.chat if each.source == OWN or not variant.own_only)
        train_stages(variant.recipe, replace(corpora, chat=chat), folder, tokenizer)
        folders.append(folder / ("dialogues" if variant.recipe.replies is None else "replies"))
    return folders


def _untrained(shape: Shape, tokenizer: Path, folder: Path) -> Path:
    if not folder.exists():
        checkpoint.save(start(None, tokenizer, Material((), ()), 0, shape), folder)
    return folder


def _shared(variant: Variant, whole: Variant) -> list[str]:
    """The stages that are the same as the whole recipe's, and with them all that came before."""
    mine, its = variant.recipe, whole.recipe
    if variant is whole or (mine.shape, mine.text) != (its.shape, its.text) or mine.text is None:
        return []
    same = (mine.dialogues, mine.noise_share, mine.slot_copies) == (its.dialogues, its.noise_share, its.slot_copies)
    return ["text", "dialogues"] if same and not variant.own_only else ["text"]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    corpora: Annotated[Path, typer.Option(help="Folder of the open corpora.")],
    authored: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = AUTHORED,
    tokenizer: Annotated[Path, typer.Option(help="Folder of the tokenizer that all of them use.")] = DEFAULT,
    tokens: Annotated[int, typer.Option(min=10_000, help="Tokens that each variant sees.")] = 800_000,
    work: Annotated[Path, typer.Option(help="Folder of the checkpoints and of the held-out dialogues.")] = Path(
        "runs/ablations"
    ),
) -> None:
    """Train the recipe whole and with each part left out."""
    with options.plain_errors():
        if not tokenizer.is_dir():
            raise BadOption(f"{tokenizer}: there is no such folder; name one that holds a tokenizer.json.")
        whole = RECIPES["default"]
        material = read_corpora(corpora, authored, whole)
        work.mkdir(parents=True, exist_ok=True)
        write_dialogues([each for each in material.held_out if each.source == OWN], work / "held_out_own.jsonl")
        write_dialogues(material.evaluation, work / "evaluation.jsonl")
        for folder in train_variants(whole, tokens, material, tokenizer, work):
            print(folder)


if __name__ == "__main__":
    app()
