"""`python -m training.recipe default --corpora DIR`: the model that ships, from open data to model/default.

Curriculum: a tokenizer and the language from texts, then whole dialogues (several passes, each with other typing noise
on the user's side), then replies in the served setting: persona, speech level, questions about the persona, and the
next-utterance loss.
Each stage leaves its checkpoint in the work folder; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from transformers import set_seed

from model import checkpoint
from model.checkpoint import Checkpoint
from model.dialogue import DEFAULT_PERSONA, Role
from model.gpt2 import Shape
from model.speech_level import majority_level
from training import options
from training.base import load_base, pad_id
from training.corpora import load_dialogues, load_texts, write_dialogues
from training.dataset import Packer, encode_example
from training.errors import BadOption
from training.examples import Dialogue, TrainingExample, examples_of, split_by_hash, with_distractors
from training.finetune import finetune
from training.noise import with_noise
from training.pretrain import Material, pretrain, start
from training.slots import multiplied
from training.trainer import TrainOptions, Validation, last_checkpoint, run_folder

ROOT = Path(__file__).resolve().parent.parent
AUTHORED = ROOT / "training" / "data"
DEFAULT = ROOT / "model" / "default"
# Held out whole, so that the figures on it are of text never seen.
EVALUATION_SOURCE = "XPersona"
# What a dialogue file that names no source of its own is read as: the project's own.
OWN = "jsonl"
VALIDATION_EXAMPLES, VALIDATION_STEPS = 400, 100


@dataclass(frozen=True, slots=True)
class Recipe:
    """The sizes of a run.

    `reviews`: movie reviews sampled for their everyday Korean; they are far from chat. `persona_share`: talks without a
    persona that get the default one, `foreign_share`: dialogues of other corpora that stay, both in the replies stage.
    `noise_share`: user turns with typing noise. `passes`: differently noisy passes over the dialogues in the dialogues
    stage. `slot_copies`: variants of each persona dialogue with other values in its facts, in every pass. `text` and
    `replies`: None leaves that stage out, as an ablation does.
    """

    shape: Shape
    vocab_size: int
    reviews: int
    held_out_percent: int
    persona_share: float
    foreign_share: float
    noise_share: float
    passes: int
    slot_copies: int
    text: TrainOptions | None
    dialogues: TrainOptions
    replies: TrainOptions | None
    distractors: int
    seed: int = 0


RECIPES = {
    "default": Recipe(
        shape=Shape(layers=4, width=256, heads=4, positions=256, dropout=0.1),
        vocab_size=8000,
        reviews=10_000,
        held_out_percent=5,
        persona_share=0.5,
        foreign_share=0.3,
        noise_share=0.3,
        passes=3,
        slot_copies=2,
        text=TrainOptions(epochs=1, batch_size=16, learning_rate=1.5e-3, warmup=0.03, log_steps=20),
        dialogues=TrainOptions(batch_size=8, learning_rate=1.5e-3, warmup=0.03, save_steps=250, log_steps=25),
        replies=TrainOptions(
            max_steps=400, batch_size=32, learning_rate=6e-4, choice_weight=0.5, save_steps=100, log_steps=20
        ),
        distractors=1,
    )
}


@dataclass(frozen=True, slots=True)
class Corpora:
    """All material, split. `chat` is everyday talk learnt from; `held_out` only measures."""

    texts: tuple[str, ...]
    chat: tuple[Dialogue, ...]
    held_out: tuple[Dialogue, ...]
    evaluation: tuple[Dialogue, ...]
    files: tuple[Path, ...]


def read_corpora(folder: Path, authored: Path, recipe: Recipe) -> Corpora:
    """Read and split the corpora. Raises BadData when one is missing."""
    rng = random.Random(recipe.seed)
    reviews = load_texts([folder / "text_nsmc.jsonl.xz"])
    texts = load_texts([folder / "text_spoken.jsonl.xz"]) + rng.sample(reviews, min(recipe.reviews, len(reviews)))
    own = load_dialogues([str(authored)])
    open_data = load_dialogues([str(folder / "dialogues_songys.jsonl.xz"), str(folder / "dialogues_persona.jsonl.xz")])
    evaluation = [d for d in open_data.dialogues if EVALUATION_SOURCE.lower() in d.source.lower()]
    other = [d for d in open_data.dialogues if EVALUATION_SOURCE.lower() not in d.source.lower()]
    chat, held_out = split_by_hash([*own.dialogues, *other], recipe.held_out_percent)
    return Corpora(
        texts=tuple(texts),
        chat=tuple(_labelled(dialogue) for dialogue in chat),
        held_out=tuple(_labelled(dialogue) for dialogue in held_out),
        evaluation=tuple(_labelled(dialogue) for dialogue in evaluation),
        files=(folder / "text_spoken.jsonl.xz", folder / "text_nsmc.jsonl.xz", *own.files, *open_data.files),
    )


def _labelled(dialogue: Dialogue) -> Dialogue:
    """A dialogue whose corpus names no speech level gets the one most of its bot turns show."""
    if dialogue.speech_level is not None:
        return dialogue
    return replace(dialogue, speech_level=majority_level(turn.text for turn in dialogue.turns if turn.role is Role.BOT))


def with_personas(dialogues: Sequence[Dialogue], share: float, rng: random.Random) -> list[Dialogue]:
    """Give the default persona to a share of the dialogues that have none, as a served conversation has one.

    Facts are shuffled everywhere: their order means nothing.
    """
    return [
        replace(dialogue, persona=tuple(rng.sample(facts, len(facts))))
        for dialogue in dialogues
        for facts in [dialogue.persona or (DEFAULT_PERSONA if rng.random() < share else ())]
    ]


def run(recipe: Recipe, corpora_folder: Path, authored: Path, out: Path, work: Path) -> None:
    """Run all stages that are not done yet, and write the default checkpoint in bf16 to `out`."""
    set_seed(recipe.seed)
    corpora = read_corpora(corpora_folder, authored, recipe)
    work.mkdir(parents=True, exist_ok=True)
    write_dialogues(corpora.held_out, work / "held_out.jsonl")
    write_dialogues(corpora.evaluation, work / "evaluation.jsonl")
    trained = train_stages(recipe, corpora, work)
    version = f"{out.name}-{(trained.manifest.data_sha256 or '')[:8]}"
    shipped = replace(trained, manifest=replace(trained.manifest, version=version, parent=None))
    checkpoint.save(shipped, out, torch.bfloat16, keep=["MODEL_CARD.md"])


def train_stages(recipe: Recipe, corpora: Corpora, work: Path, tokenizer: Path | None = None) -> Checkpoint:
    """The checkpoint of the last stage; those whose checkpoints are in `work` already are not run again.

    `tokenizer`: the folder of one to use; default: one trained on the texts and on the chat, which counts three times,
    as it is what the model will read and write.
    """
    lines = [] if tokenizer else [turn.text for dialogue in corpora.chat for turn in dialogue.turns]
    everything = Material((*corpora.texts, *lines * 3), ())
    new = partial(start, None, tokenizer, everything, recipe.vocab_size, recipe.shape)
    text, dialogues, replies = work / "text", work / "dialogues", work / "replies"
    if recipe.text is not None:
        material = Material(corpora.texts, (), corpora.files)
        _stage(text, recipe.text, lambda settings: pretrain(new(), material, text, settings, None))
    _stage(
        dialogues,
        recipe.dialogues,
        lambda settings: _learn_dialogues(
            recipe, corpora, new() if recipe.text is None else load_base(str(text), None)[0], dialogues, settings
        ),
    )
    if recipe.replies is None:
        return checkpoint.load(dialogues)
    _stage(replies, recipe.replies, lambda settings: _learn_replies(recipe, corpora, work, settings))
    return checkpoint.load(replies)


def _stage(out: Path, settings: TrainOptions, learn: Callable[[TrainOptions], None]) -> None:
    """Run one stage unless its checkpoint is there; resume it when it was interrupted."""
    if not out.exists():
        learn(replace(settings, resume=last_checkpoint(run_folder(out)) is not None))


def _learn_dialogues(recipe: Recipe, corpora: Corpora, base: Checkpoint, out: Path, settings: TrainOptions) -> None:
    """Every token of every dialogue. The default persona is left to the next stage: here it would only cost tokens."""
    rng = random.Random(recipe.seed)
    passes = [dialogue for _ in range(recipe.passes) for dialogue in _one_pass(recipe, corpora, 0, rng)]
    material = Material((), tuple(passes), corpora.files)
    parent = "text" if recipe.text is not None else None
    pretrain(base, material, out, settings, parent, _validation(base, corpora))


def _one_pass(recipe: Recipe, corpora: Corpora, persona_share: float, rng: random.Random) -> list[Dialogue]:
    """All dialogues once, augmented anew."""
    chat = [*corpora.chat, *multiplied(corpora.chat, recipe.slot_copies, rng)]
    return with_noise(with_personas(chat, persona_share, rng), recipe.noise_share, rng)


def _validation(base: Checkpoint, corpora: Corpora) -> Validation:
    """The loss on replies of our own held-out dialogues, as they are served."""
    own = [dialogue for dialogue in corpora.held_out if dialogue.source == OWN]
    examples = [example for dialogue in own for example in examples_of(dialogue)][:VALIDATION_EXAMPLES]
    items = [encode_example(base.chat_format, example, base.max_positions) for example in examples]
    packer = Packer(base.max_positions, pad_id(base))
    return Validation([packer(items[i : i + 32]) for i in range(0, len(items), 32)], VALIDATION_STEPS)


def _learn_replies(recipe: Recipe, corpora: Corpora, work: Path, settings: TrainOptions) -> None:
    """Replies as they are served: most talks have a persona, and the project's own dialogues count most."""
    rng = random.Random(recipe.seed + 1)
    dialogues = [
        dialogue
        for dialogue in _one_pass(recipe, corpora, recipe.persona_share, rng)
        if dialogue.source == OWN or rng.random() < recipe.foreign_share
    ]
    examples: list[TrainingExample] = [example for dialogue in dialogues for example in examples_of(dialogue)]
    base = load_base(str(work / "dialogues"), None)[0]
    finetune(
        base,
        with_distractors(examples, recipe.distractors, rng),
        work / "replies",
        settings,
        corpora.files,
        validation=_validation(base, corpora),
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    name: Annotated[str, typer.Argument(help="Which recipe: default.")],
    corpora: Annotated[Path, typer.Option(help="Folder of the open corpora.")],
    authored: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = AUTHORED,
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")] = DEFAULT,
    work: Annotated[Path, typer.Option(help="Folder of the stages, logs and held-out data.")] = Path("runs/default"),
) -> None:
    """Train a shipped model from its corpora."""
    with options.plain_errors():
        if name not in RECIPES:
            raise BadOption(f"There is no recipe '{name}'; choose one of {', '.join(RECIPES)}.")
        run(RECIPES[name], corpora, authored, out, work)


if __name__ == "__main__":
    app()
