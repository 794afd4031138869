"""`python -m training.pretrain`: learn the language from texts and whole dialogues, from scratch or from a base.

Every token is learnt, the user's too; documents are packed into full rows (no padding, attention kept inside each).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from transformers import set_seed

from model.chat_format import get_format
from model.checkpoint import Checkpoint
from model.gpt2 import Shape, new_model, parameter_count
from model.manifest import Manifest
from model.tokenizer import load_tokenizer, train_tokenizer
from training import options
from training.base import finished, load_base, pad_id
from training.corpora import load_dialogues, load_texts
from training.dataset import ItemDataset, Packer, encode_dialogue, encode_text, pack_documents
from training.errors import BadOption
from training.examples import Dialogue
from training.trainer import TrainOptions, Validation, is_main_process, train, write_result

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Material:
    """What to learn from, and the files it was read from."""

    texts: tuple[str, ...]
    dialogues: tuple[Dialogue, ...]
    files: tuple[Path, ...] = ()


def start(base: str | None, tokenizer: Path | None, material: Material, vocab_size: int, shape: Shape) -> Checkpoint:
    """The base, or a new malbeot model over `tokenizer` (default: one trained on the material)."""
    if base is not None:
        return load_base(base, None)[0]
    if tokenizer is not None:
        if not tokenizer.is_dir():
            raise BadOption(f"{tokenizer}: there is no such folder; name one that holds a tokenizer.json.")
        chosen = load_tokenizer(tokenizer)
    else:
        chosen = train_tokenizer([*material.texts, *_lines(material.dialogues)], vocab_size)
    name = "malbeot"
    return Checkpoint(new_model(chosen, shape), chosen, get_format(name, chosen), Manifest("new", name))


def _lines(dialogues: Iterable[Dialogue]) -> Iterable[str]:
    for dialogue in dialogues:
        yield from dialogue.persona
        yield from (turn.text for turn in dialogue.turns)


def pretrain(
    model: Checkpoint,
    material: Material,
    out: Path,
    settings: TrainOptions,
    parent: str | None,
    validation: Validation | None = None,
) -> None:
    """Train on all of `material` and write the checkpoint `out`."""
    length = model.max_positions
    documents = [e for text in material.texts for e in encode_text(model.chat_format, text, length)]
    documents += [encode_dialogue(model.chat_format, dialogue, length) for dialogue in material.dialogues]
    items = pack_documents(documents, length, random.Random(settings.seed))
    if is_main_process():
        print(
            f"{parameter_count(model.model):,} parameters, {len(documents):,} documents in {len(items):,} rows, "
            f"{ItemDataset(items).tokens:,} tokens an epoch"
        )
    log = train(model.model, items, Packer(length, pad_id(model)), out, settings, validation)
    write_result(finished(model, out, parent, list(material.files), log), out)


def read_material(text: Sequence[Path], data: Sequence[str]) -> Material:
    """Read texts and dialogues; raises BadOption when there is neither."""
    if not text and not data:
        raise BadOption("There is nothing to learn from; give --text FILE or --data FILE.")
    corpus = load_dialogues(data) if data else None
    return Material(
        texts=tuple(load_texts(text)) if text else (),
        dialogues=corpus.dialogues if corpus else (),
        files=(*text, *(corpus.files if corpus else ())),
    )


@app.command()
def main(
    out: options.Out,
    text: Annotated[list[Path] | None, typer.Option(help="Texts: .jsonl[.xz] with 'text', or .txt.")] = None,
    data: options.Data = None,
    base: Annotated[str | None, typer.Option(help="Go on from this checkpoint or hub name.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of a tokenizer to use for a new model.")] = None,
    vocab_size: Annotated[int, typer.Option(help="Vocabulary of a new tokenizer.")] = 8000,
    layers: Annotated[int, typer.Option()] = 4,
    width: Annotated[int, typer.Option()] = 256,
    heads: Annotated[int, typer.Option()] = 4,
    positions: Annotated[int, typer.Option(help="Longest sequence, in tokens.")] = 256,
    dropout: Annotated[float, typer.Option()] = 0.1,
    epochs: options.Epochs = 1.0,
    max_steps: options.MaxSteps = -1,
    batch_size: options.BatchSize = 16,
    accumulation: options.Accumulation = 1,
    learning_rate: options.LearningRate = 1e-3,
    warmup: options.Warmup = 0.03,
    precision: options.Precision = "fp32",
    save_steps: options.SaveSteps = 200,
    log_steps: options.LogSteps = 10,
    seed: options.Seed = 0,
    resume: options.Resume = False,
    cpu: options.Cpu = False,
) -> None:
    """Pretrain a model on texts and dialogues."""
    settings = TrainOptions(
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        accumulation=accumulation,
        learning_rate=learning_rate,
        warmup=warmup,
        precision=precision,
        save_steps=save_steps,
        log_steps=log_steps,
        seed=seed,
        resume=resume,
        cpu=cpu,
    )
    with options.plain_errors():
        set_seed(seed)
        material = read_material(text or [], data or [])
        model = start(base, tokenizer, material, vocab_size, Shape(layers, width, heads, positions, dropout))
        pretrain(model, material, out, settings, model.manifest.version if base else None)


if __name__ == "__main__":
    app()
