"""Checkpoints on disk: weights, tokenizer and manifest in one folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import GPT2DoubleHeadsModel, PreTrainedTokenizerFast

from model.chat_format import ChatFormat, get_format, infer_format
from model.errors import BadCheckpoint
from model.files import replace_folder, write_json
from model.gpt2 import DialogueModel
from model.manifest import MANIFEST, Manifest, check_folder, read_manifest
from model.tokenizer import load_tokenizer


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model with all that is needed to talk to it."""

    model: DialogueModel
    tokenizer: PreTrainedTokenizerFast
    chat_format: ChatFormat
    manifest: Manifest

    @property
    def max_positions(self) -> int:
        """Longest sequence the model was built for, in tokens."""
        return int(self.model.config.n_positions)


def load(folder: Path, chat_format: str | None = None, dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Load a checkpoint of ours or any GPT-2 folder, in evaluation mode on the CPU.

    A folder without a manifest gets the format its tokens fit. Raises BadCheckpoint with a sentence that says what
    is wrong: no folder, unreadable files, not a GPT-2, a format that does not fit.
    """
    check_folder(folder)
    manifest = read_manifest(folder)
    tokenizer = load_tokenizer(folder)
    name = chat_format or (manifest.format if manifest else infer_format(tokenizer))
    model = _load_weights(folder, dtype)
    if len(tokenizer) > model.config.vocab_size:
        raise BadCheckpoint(
            f"{folder}: the tokenizer has {len(tokenizer)} entries and the model {model.config.vocab_size}; "
            "the files do not belong together."
        )
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        chat_format=get_format(name, tokenizer),
        manifest=manifest or Manifest(version=folder.resolve().name, format=name),
    )


def _load_weights(folder: Path, dtype: torch.dtype) -> DialogueModel:
    try:
        loaded: Any = DialogueModel.from_pretrained(
            str(folder), dtype=dtype, num_labels=1, output_loading_info=True, local_files_only=True
        )
    except Exception as error:  # transformers, safetensors and torch each raise their own kinds for a broken file
        kind = type(error).__name__
        raise BadCheckpoint(f"{folder}: the weights cannot be read ({kind}); get them again.") from error
    model, report = loaded
    # transformers draws what it misses at random. Only the next-utterance head may be new, as from a plain GPT-2.
    missing = [name for name in report["missing_keys"] if not name.startswith("multiple_choice_head.")]
    if missing:
        raise BadCheckpoint(f"{folder}: the weights lack {len(missing)} parts ({missing[0]} ...); get them again.")
    model.train(False)
    return cast(DialogueModel, model)


def save(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype = torch.float32, keep: Sequence[str] = ()) -> None:
    """Write a checkpoint so that `folder` appears whole or not at all, replacing an earlier one.

    Files of the earlier folder named in `keep` (a model card) are carried over.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        # transformers' own class, so that any of its users can load the folder.
        plain = GPT2DoubleHeadsModel(checkpoint.model.config)
        plain.load_state_dict(checkpoint.model.state_dict())
        cast(torch.nn.Module, plain).to(dtype)
        plain.save_pretrained(str(partial))
        checkpoint.tokenizer.save_pretrained(str(partial))
        write_json(partial / MANIFEST, asdict(checkpoint.manifest))
        for name in keep:
            if (folder / name).exists():
                shutil.copy2(folder / name, partial / name)
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
