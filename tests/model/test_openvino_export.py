from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint as checkpoints
from model.backends import openvino_cache
from model.backends.openvino_backend import MAX_SCORE_ERROR, MIN_AGREEMENT, OpenVinoBackend
from model.backends.openvino_cache import FACTS, GRAPH, WEIGHTS, NotServable, Order, obtain, read
from model.backends.openvino_check import compare, contexts, reference_ids
from model.backends.openvino_export import make, shape_of, vocabulary_of, write
from model.backends.openvino_graph import SCORE_IDS, build, score_of
from model.backends.openvino_silent import import_openvino
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from model.manifest import MANIFEST
from tests.model.builders import make_kogpt2
from tests.model.conftest import make_checkpoint

DEFAULT = Path(__file__).resolve().parents[2] / "model" / "default"

EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
# A process that imports, converts and generates with every socket and every write below its home forbidden.
SILENT = """
import os, sys
from pathlib import Path

home = os.environ["HOME"]

def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        print("SOCKET", event, arguments, flush=True)
        os._exit(3)
    if event in ("open", "os.mkdir", "os.rename") and str(arguments[0]).startswith(home):
        print("HOME", event, arguments, flush=True)
        os._exit(4)

sys.addaudithook(refuse)
from model.backends.openvino_backend import MAX_SCORE_ERROR, MIN_AGREEMENT, OpenVinoBackend
from model.backends.openvino_cache import Order, read
from model.backends.openvino_export import make
from model import checkpoint as checkpoints
folder = Path(sys.argv[1])
export = read(make(Order(folder, "malbeot", "int8")))
checkpoint = checkpoints.load(folder)
backend = OpenVinoBackend(export, checkpoint.chat_format, "tiny", cache_mb=1)
assert len(backend.next_ids([[2, 5, 30]])) == 1
stub = sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__
assert stub == "openvino.tools.ovc.telemetry_stub", stub
print("SILENT")
"""


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Checkpoint:
    return checkpoints.load(tiny_folder)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny checkpoint that a test may change, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_checkpoint(tmp_path / "models" / "tiny", "malbeot")


def weights_of(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return {name: tensor.float().numpy() for name, tensor in checkpoint.model.state_dict().items()}


def test_the_graph_alone_gives_the_logits_of_torch_and_bars_what_is_suppressed(tiny: Checkpoint) -> None:
    """As a plain stateful model: a prompt, then one more id, a row of two padded on the left."""
    ids = torch.tensor([[2, 5, 40, 41, 42, 50], [2, 5, 60, 61, 62, 63]])
    with torch.inference_mode():
        expected = tiny.model.lm_head(tiny.model.transformer(ids).last_hidden_state).numpy()
    vocabulary = vocabulary_of(tiny)
    model = build(shape_of(tiny), weights_of(tiny), vocabulary, int8=False)
    request = import_openvino().Core().compile_model(model, "CPU", EXACT)
    request = request.create_infer_request()
    said = [token for token in range(vocabulary.size) if token not in {*vocabulary.suppressed, vocabulary.eos_id}]
    for start, stop in ((0, 5), (5, 6)):
        inputs = {
            "input_ids": ids[:, start:stop].numpy(),
            "attention_mask": np.ones((2, stop), np.int64),
            "position_ids": np.tile(np.arange(start, stop), (2, 1)),
            "beam_idx": np.arange(2, dtype=np.int32),
            "sampled_tokens_indices": np.arange(2),
        }
        logits = request.infer(inputs)["logits"]
        assert logits.shape == (2, stop - start, vocabulary.end + 1 + SCORE_IDS)
        np.testing.assert_allclose(logits[:, :, said], expected[:, start:stop, said], atol=1e-4)
        np.testing.assert_allclose(logits[:, :, vocabulary.end], expected[:, start:stop, vocabulary.eos_id], atol=1e-4)
        barred = [*vocabulary.suppressed, vocabulary.eos_id, *range(vocabulary.end + 1, logits.shape[-1])]
        assert np.all(logits[:, :, barred] == -np.inf)


def test_scores_are_told_finely_near_zero_and_in_order_everywhere() -> None:
    told = [score_of(token, 400) for token in range(401, 401 + SCORE_IDS)]
    assert told == sorted(told)
    assert told[0] == pytest.approx(-100)
    assert told[-1] == pytest.approx(100)
    for low, high in itertools.pairwise(told):
        assert high - low < 0.0053 * math.hypot(1, max(abs(low), abs(high)))


def test_int8_matrices_are_stored_in_a_quarter_of_the_bytes(tiny: Checkpoint, tmp_path: Path) -> None:
    sizes = {}
    for precision in ("fp32", "int8"):
        (tmp_path / precision).mkdir()
        write(tmp_path / precision, tiny, precision, scored=True)
        sizes[precision] = (tmp_path / precision / WEIGHTS).stat().st_size
    matrices = 4 * sum(tensor.numel() for name, tensor in tiny.model.named_parameters() if tensor.dim() == 2)
    places = 4 * tiny.model.transformer.wpe.weight.numel()
    assert sizes["fp32"] - sizes["int8"] == pytest.approx((matrices - places) * 3 / 4, rel=0.1)


def test_a_faithful_export_agrees_and_a_broken_one_does_not(tiny: Checkpoint, tmp_path: Path) -> None:
    export = write(tmp_path, tiny, "fp32", scored=True)
    agreement, score_error = compare(export, tiny)
    assert agreement == 1.0
    assert score_error < 0.02
    weights = weights_of(tiny)
    weights["transformer.wpe.weight"] = weights["transformer.wpe.weight"][::-1]
    broken = build(export.shape, weights, export.vocabulary, int8=False)
    import_openvino().save_model(broken, str(tmp_path / GRAPH), compress_to_fp16=False)
    agreement, score_error = compare(export, tiny)
    assert agreement < MIN_AGREEMENT
    assert score_error > MAX_SCORE_ERROR


def test_the_comparison_follows_the_replies_of_generate(tiny: Checkpoint) -> None:
    seen = [reference_ids(tiny, tiny.chat_format.encode(each, None, 200).input_ids, [0], 12) for each in contexts()]
    assert len({tuple(ids) for ids in seen}) > 4, "prompts that all give the same ids prove little"


def test_an_export_is_made_once_and_again_when_the_weights_change(own_folder: Path) -> None:
    order = Order(own_folder, "malbeot", "fp32")
    first = make(order)
    assert first.parent == own_folder / ".openvino"
    assert (first.parent / ".gitignore").read_text() == "*\n"
    stamp = (first / GRAPH).stat().st_mtime_ns
    assert make(order) == first
    assert (first / GRAPH).stat().st_mtime_ns == stamp
    checkpoint = checkpoints.load(own_folder)
    with torch.no_grad():
        checkpoint.model.transformer.ln_f.bias.add_(1)
    checkpoints.save(checkpoint, own_folder.parent / "next")
    (own_folder.parent / "next" / "model.safetensors").replace(own_folder / "model.safetensors")
    second = make(order)
    assert second != first
    assert not first.exists(), "nobody asks for it any more"
    export = read(second)
    assert export is not None
    assert export.agreement == 1.0


@pytest.mark.parametrize("damage", [GRAPH, WEIGHTS, FACTS])
def test_a_damaged_export_is_made_again(own_folder: Path, damage: str) -> None:
    order = Order(own_folder, "malbeot", "fp32")
    folder = make(order)
    whole = read(folder)
    content = (folder / damage).read_bytes()
    (folder / damage).write_bytes(content[: len(content) // 2])
    assert read(folder) is None
    assert make(order) == folder
    assert read(folder) == whole


def test_where_the_checkpoint_cannot_be_written_the_users_cache_holds_the_export(own_folder: Path) -> None:
    (own_folder / ".openvino").write_text("in the way")  # read-only folders do not stop root, who may run the tests
    order = Order(own_folder, "malbeot", "int8")
    folder = make(order)
    assert folder.is_relative_to(own_folder.parents[1] / "cache" / "malbeot" / "openvino")
    assert obtain(order).folder == folder


def test_an_unwritable_everywhere_is_told(own_folder: Path) -> None:
    (own_folder / ".openvino").write_text("in the way")
    (own_folder.parents[1] / "cache").write_text("in the way")
    with pytest.raises(OSError, match="can be written"):
        make(Order(own_folder, "malbeot", "int8"))


def test_checkpoints_of_others_are_exported_without_scores(tmp_path: Path) -> None:
    folder = make_kogpt2(tmp_path / "kogpt2")
    export = read(make(Order(folder, "usr-sys", "fp32")))
    assert export is not None
    assert export.agreement == 1.0
    assert not export.scored
    assert not (folder / MANIFEST).exists()


def test_variants_of_gpt2_without_a_graph_are_refused(tiny: Checkpoint, tmp_path: Path) -> None:
    config = tiny.model.config
    config.activation_function, usual = "relu", config.activation_function
    try:
        with pytest.raises(NotServable, match="activation_function"):
            write(tmp_path, tiny, "int8", scored=True)
    finally:
        config.activation_function = usual


@pytest.mark.slow
def test_a_process_of_its_own_makes_it_or_says_why_it_cannot(own_folder: Path) -> None:
    assert obtain(Order(own_folder, "malbeot", "int8")).folder.parent == own_folder / ".openvino"
    config = json.loads((own_folder / "config.json").read_text())
    (own_folder / "config.json").write_text(json.dumps(config | {"activation_function": "relu"}))
    with pytest.raises(NotServable, match="activation_function"):
        obtain(Order(own_folder, "malbeot", "int8"))


def test_the_name_of_an_export_tells_all_it_depends_on(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order(own_folder, "malbeot", "int8")
    keys = {order.key(), replace(order, precision="fp32").key(), replace(order, chat_format="dialogpt").key()}
    manifest = json.loads((own_folder / MANIFEST).read_text())
    (own_folder / MANIFEST).write_text(json.dumps(manifest | {"version": "other"}))
    keys.add(order.key())
    monkeypatch.setattr(openvino_cache, "_RECIPE", 0)
    keys.add(order.key())
    assert len(keys) == 5
    assert order.key() == order.key()


@pytest.mark.slow
def test_nothing_is_told_to_anybody(own_folder: Path, tmp_path: Path) -> None:
    """No socket is opened and nothing written to the home folder, by a first use and by what it imports."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(DEFAULT.parents[1])}
    result = subprocess.run(
        [sys.executable, "-c", SILENT, str(own_folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout.strip().endswith("SILENT"), result.stdout + result.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_the_default_model_agrees_in_int8(tmp_path: Path) -> None:
    """At least 95% of the next ids of its replies to lines of the project's own dialogues; scores within a tenth."""
    checkpoint = checkpoints.load(DEFAULT)
    export = write(tmp_path, checkpoint, "int8", scored=True)
    _, score_error = compare(export, checkpoint)
    assert score_error < 0.1
    served = OpenVinoBackend(export, checkpoint.chat_format, "default", cache_mb=64)
    same = asked = 0
    for context in spoken_contexts(40):
        prompt = checkpoint.chat_format.encode(context, None, 200).input_ids
        expected = reference_ids(checkpoint, prompt, export.vocabulary.suppressed, 16)
        got = served.next_ids([(*prompt, *expected[:length]) for length in range(len(expected))])
        same += sum(one == other for one, other in zip(got, expected, strict=True))
        asked += len(expected)
    assert asked > 200
    assert same / asked >= 0.95


def spoken_contexts(count: int) -> list[DialogueContext]:
    """The first turns of dialogues of each kind, with their own personas."""
    found = []
    for path in sorted((DEFAULT.parents[1] / "training" / "data").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in itertools.islice(lines, 3):
                dialogue = json.loads(line)
                turns = (Turn(Role.USER, dialogue["turns"][0]["text"]),)
                found.append(DialogueContext(tuple(dialogue["persona"]), turns, SpeechLevel(dialogue["speech"])))
    return found[:count]
