"""The checkpoint a training run starts from, fitted to the chat format it will speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tokenizers import AddedToken

from model import checkpoint
from model.chat_format import get_format, infer_format, new_tokens
from model.checkpoint import Checkpoint
from model.errors import BadCheckpoint
from model.files import sha256
from model.gpt2 import fit_vocabulary
from model.manifest import Manifest, check_folder, read_manifest
from model.tokenizer import load_tokenizer


def resolve_base(base: str) -> Path:
    """A local folder as it is; anything else is a hub name, fetched into the hub's cache. Raises BadCheckpoint."""
    if Path(base).is_dir():
        return Path(base)
    from huggingface_hub import snapshot_download

    try:
        files = ["*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin"]
        return Path(snapshot_download(base, allow_patterns=files))
    except Exception as error:  # the hub's client and the HTTP library below it each raise their own kinds
        kind = type(error).__name__
        raise BadCheckpoint(
            f"'{base}' is neither a local folder nor a model the hub can be asked for now ({kind})."
        ) from error


def load_base(base: str, format_name: str | None) -> tuple[Checkpoint, list[int]]:
    """Load a base and make it fit `format_name` (default: its own format).

    Tokens of the format that its tokenizer lacks are added, with embeddings for them; their ids are returned.
    """
    folder = resolve_base(base)
    check_folder(folder)
    manifest = read_manifest(folder)
    tokenizer = load_tokenizer(folder)
    name = format_name or (manifest.format if manifest else infer_format(tokenizer))
    loaded = checkpoint.load(folder, infer_format(tokenizer))
    missing = [token for token in new_tokens(name) if token not in tokenizer.get_vocab()]
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in missing], special_tokens=True)
    fit_vocabulary(loaded.model, tokenizer)
    fitted = replace(
        loaded,
        tokenizer=tokenizer,
        chat_format=get_format(name, tokenizer),
        manifest=manifest or Manifest(version=Path(base).name, format=name),
    )
    return fitted, [int(tokenizer.get_vocab()[token]) for token in missing]


def finished(
    trained: Checkpoint, out: Path, parent: str | None, files: list[Path], log: Sequence[Mapping[str, float]]
) -> Checkpoint:
    """`trained` with the manifest of a checkpoint called like its folder, and the last loss (nats) of the run's log."""
    manifest = Manifest(
        version=out.name,
        format=trained.chat_format.name,
        parent=parent,
        data_sha256=sha256(files),
        metrics={"training_loss": log[-1]["loss"]} if log else {},
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return replace(trained, manifest=manifest)


def pad_id(trained: Checkpoint) -> int:
    """An id to fill row ends with; which one makes no difference, nothing is learnt there."""
    padding = trained.tokenizer.pad_token_id
    return int(padding) if isinstance(padding, int) else trained.chat_format.eos_id
