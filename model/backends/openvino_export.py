"""Make a checkpoint's OpenVINO model and compare it with torch. Run as a process by `model.backends.openvino_cache`.

No optimum-intel (it pins an old transformers), no nncf (208 MB): the graph is built from the weights directly.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from model import checkpoint as checkpoints
from model.backends.openvino_cache import FACTS, GRAPH, WEIGHTS, Export, NotServable, Order, read
from model.backends.openvino_check import compare
from model.backends.openvino_graph import ACTIVATIONS, Shape, Vocabulary, build
from model.backends.openvino_silent import import_openvino
from model.checkpoint import Checkpoint
from model.errors import BadCheckpoint
from model.files import replace_folder, sha256, write_json, write_text
from model.manifest import read_manifest


def main(checkpoint: str, chat_format: str, precision: str) -> None:
    """Make one export; exits with a sentence when that cannot be."""
    try:
        make(Order(Path(checkpoint), chat_format, precision))
    except (BadCheckpoint, OSError) as error:
        raise SystemExit(str(error)) from error


def make(order: Order) -> Path:
    """Make the export unless it is there and whole; returns its folder. Raises BadCheckpoint, OSError without room."""
    key = order.key()
    # Before anything is written: one that cannot be read leaves its folder as it was.
    checkpoint = checkpoints.load(order.checkpoint, order.chat_format)
    for root in order.roots():
        try:
            root.mkdir(parents=True, exist_ok=True)
            write_text(root / ".gitignore", "*\n")
        except OSError:
            continue  # a folder that may only be read
        with _locked(root):
            if read(root / key) is None:
                _fill(order, checkpoint, root / key)
        return root / key
    raise OSError(f"neither {order.roots()[0]} nor {order.roots()[1]} can be written")


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Nobody else makes exports in `root` meanwhile."""
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(order: Order, checkpoint: Checkpoint, folder: Path) -> None:
    """Write the export so that `folder` appears whole, and drop what it replaces."""
    partial = Path(tempfile.mkdtemp(prefix=f".{order.family}", dir=folder.parent))
    try:
        # The head of a checkpoint of others was drawn at random; its scores mean nothing.
        scored = read_manifest(order.checkpoint) is not None
        export = write(partial, checkpoint, order.precision, scored)
        agreement, score_error = compare(export, checkpoint)
        facts = asdict(replace(export, agreement=agreement, score_error=score_error))
        del facts["folder"]
        write_json(partial / FACTS, facts | {"sha256": sha256([partial / GRAPH, partial / WEIGHTS])})
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for rest in [*folder.parent.glob(f"{order.family}*"), *folder.parent.glob(f".{order.family}*")]:
        if rest != folder:
            shutil.rmtree(rest, ignore_errors=True)


def write(folder: Path, checkpoint: Checkpoint, precision: str, scored: bool) -> Export:
    """Write the graph and its weights into `folder`. Raises NotServable for a model the graph cannot stand for."""
    shape, vocabulary = shape_of(checkpoint), vocabulary_of(checkpoint)
    weights = {name: tensor.float().numpy() for name, tensor in checkpoint.model.state_dict().items()}
    if not scored:
        weights = {name: value for name, value in weights.items() if not name.startswith("multiple_choice_head.")}
    graph = build(shape, weights, vocabulary, int8=precision == "int8")
    import_openvino().save_model(graph, str(folder / GRAPH), compress_to_fp16=False)
    # GenAI looks for this name.
    write_json(folder / "config.json", {"model_type": "gpt2", "eos_token_id": vocabulary.end})
    return Export(folder, precision, shape, vocabulary, scored)


def shape_of(checkpoint: Checkpoint) -> Shape:
    """The sizes of a checkpoint's model. Raises NotServable for the variants of GPT-2 that nobody built a graph for."""
    config = checkpoint.model.config
    plain = {
        "activation_function": config.activation_function in ACTIVATIONS,
        "scale_attn_weights": config.scale_attn_weights,
        "scale_attn_by_inverse_layer_idx": not config.scale_attn_by_inverse_layer_idx,
        "add_cross_attention": not config.add_cross_attention,
        "summary_type": config.summary_type == "cls_index" and config.summary_use_proj,
        "summary_activation": config.summary_activation is None,
        "num_labels": config.num_labels == 1,
    }
    odd = [name for name, usual in plain.items() if not usual]
    if odd:
        raise NotServable(f"the OpenVINO graph does not know its {', '.join(odd)}")
    return Shape(
        layers=config.n_layer,
        heads=config.n_head,
        width=config.n_embd,
        positions=config.n_positions,
        epsilon=config.layer_norm_epsilon,
        activation=config.activation_function,
    )


def vocabulary_of(checkpoint: Checkpoint) -> Vocabulary:
    """The ids of a checkpoint's model; what its format suppresses and what has no text is not to be said."""
    size = int(checkpoint.model.config.vocab_size)
    silent = checkpoint.chat_format.suppressed_ids | set(range(len(checkpoint.tokenizer), size))
    return Vocabulary(size, checkpoint.chat_format.eos_id, tuple(sorted(silent)))


if __name__ == "__main__":
    main(*sys.argv[1:])
