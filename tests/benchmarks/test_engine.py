"""The benchmark as a whole, on a tiny model: what its JSON has, and how it tells what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.engine import app, plan_of, write
from benchmarks.engine_report import lines
from benchmarks.engine_rounds import Plan, measure
from benchmarks.engine_statistics import METRICS
from benchmarks.errors import BadChoice, SystemFailed
from benchmarks.systems import PEERS, Outcome, Setup, Source
from benchmarks.workload import Prompt
from model.dialogue import Sampling
from tests.benchmarks.conftest import TINY, save_tiny

KEYS = {
    "one_chat_ms_per_token",
    "first_token",
    "tokens_per_s_8",
    "tokens_per_s_32",
    "second_turn_first_token",
    "warm_32_chats",
    "four_candidates",
}
HERE = "tests.benchmarks.test_engine"
BROKEN = {
    "absent": Source(f"{HERE}:load_steady", "no_such_package", "nothing"),
    "unloadable": Source(f"{HERE}:load_nothing", "model", "nothing"),
    "fragile": Source(f"{HERE}:load_fragile", "model", "breaks in the second round"),
}


class Steady:
    """A peer that takes no time to speak of; fails from its `last` run on."""

    def __init__(self, last: int | None = None) -> None:
        self.about: dict[str, str] = {}
        self._left = last

    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """One word each."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise RuntimeError("broke in the middle")
        return Outcome(1.0, 0.5, ("가",) * len(prompts))

    def close(self) -> None:
        """Nothing to free."""


def load_steady(setup: Setup) -> Steady:
    return Steady()


def load_nothing(setup: Setup) -> Steady:
    raise ValueError("cannot be loaded here\nand more that nobody needs to read")


def load_fragile(setup: Setup) -> Steady:
    return Steady(last=6)


def tiny_plan(peers: Mapping[str, Source], backend: str = "torch") -> Plan:
    return Plan(
        save_tiny, TINY, peers, backend=backend, precision="fp32", rounds=2, threads=1, level_seconds=0.2
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """One whole run against everyone, and where its files are."""
    folder = tmp_path_factory.mktemp("run")
    peers = {**PEERS, **BROKEN}
    return write(tiny_plan(peers), folder / "run.json", folder / "run.png", "tiny"), folder


@pytest.mark.slow
def test_the_json_has_every_ratio_and_says_why_one_is_missing(written: tuple[dict[str, Any], Path]) -> None:
    returned, folder = written
    found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert found == json.loads(json.dumps(returned))
    assert set(found["ratios"]) == {*PEERS, *BROKEN}
    for peer in PEERS:
        assert set(found["ratios"][peer]) == KEYS
        assert all(value > 0 for value in found["ratios"][peer].values())
    for peer in BROKEN:
        assert found["ratios"][peer] == dict.fromkeys(KEYS)
    assert set(found["reasons"]) == set(BROKEN)
    assert "no_such_package is not installed" in found["reasons"]["absent"]
    assert found["reasons"]["unloadable"].endswith("ValueError: cannot be loaded here")
    assert found["reasons"]["fragile"].endswith("RuntimeError: broke in the middle")


@pytest.mark.slow
def test_the_figures_have_every_round_and_the_ratios_follow_from_them(written: tuple[dict[str, Any], Path]) -> None:
    found, _ = written
    assert set(found["systems"]) == {"ours", "end_to_end", *PEERS}
    for system in found["systems"].values():
        assert set(system["figures"]) == {*KEYS, "single_reply"}
        for figure in system["figures"].values():
            assert len(figure["rounds"]) == 2
            assert figure["min"] <= figure["median"] <= figure["max"]
    medians = {name: system["figures"] for name, system in found["systems"].items()}
    ours, theirs = medians["ours"], medians["hf"]
    assert found["ratios"]["hf"]["first_token"] == pytest.approx(
        theirs["first_token"]["median"] / ours["first_token"]["median"]
    )
    assert found["end_to_end_ratios"]["hf"]["tokens_per_s_8"] == pytest.approx(
        medians["end_to_end"]["tokens_per_s_8"]["median"] / theirs["tokens_per_s_8"]["median"]
    )
    assert found["four_candidates_over_single"]["ours"] == pytest.approx(
        ours["four_candidates"]["median"] / ours["single_reply"]["median"]
    )


@pytest.mark.slow
def test_the_floor_the_load_and_the_picture_are_there(written: tuple[dict[str, Any], Path]) -> None:
    found, folder = written
    floor = found["floor"]
    assert set(floor["measured"]) == {"gb_per_s", "int8", "bf16", "fp32"}
    assert floor["precision"] == "fp32"
    shares = {"one_chat_ms_per_token", "first_token", "tokens_per_s_8", "tokens_per_s_32"}
    assert set(floor["share"]) == shares
    assert all(0 < share < 1 for share in floor["share"].values())
    assert found["load"]["levels"]
    assert (folder / "run.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_person_is_told_every_metric_and_reason(written: tuple[dict[str, Any], Path]) -> None:
    told = "\n".join(lines(written[0]))
    for name in (*KEYS, *PEERS, *BROKEN):
        assert name in told


@pytest.mark.slow
def test_our_own_side_may_not_break(tmp_path: Path) -> None:
    with pytest.raises(SystemFailed, match="ours failed: ModuleNotFoundError: No module named 'no_such_module'"):
        measure(tiny_plan({}, backend="no_such_module:load"), tmp_path, lambda _: None)


def test_the_metrics_are_those_promised() -> None:
    assert set(METRICS) == KEYS


def test_the_plan_takes_the_peers_asked_for_and_the_shapes_workload() -> None:
    plan = plan_of("kogpt2", "torch", "hf, openvino-plain", rounds=5)
    assert list(plan.peers) == ["hf", "openvino-plain"]
    assert (plan.rounds, plan.backend) == (5, "torch")
    assert (plan.workload.prompt_tokens, plan.workload.new_tokens) == (128, 32)
    assert (plan.workload.few, plan.workload.many, plan.workload.growth) == (8, 32, 16)
    assert plan_of("default", "auto", "", rounds=1).peers == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--backend", "onnx"), "There is no backend 'onnx'; choose from auto, torch, openvino."),
        (("--against", "hf,vllm"), "There is no peer 'vllm'; choose from hf, ctranslate2, openvino-plain."),
        (("--shape", "gpt3"), "There is no shape 'gpt3'; choose from default, kogpt2."),
        (("--precision", "int4"), "There is no precision 'int4'; choose from auto, int8, bf16, fp32."),
    ],
)
def test_what_does_not_exist_is_one_sentence_and_exit_2(options: tuple[str, str], says: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--shape", "default", "--json", str(tmp_path / "x.json"), *options])
    assert result.exit_code == 2
    assert result.stderr == says + "\n"
    assert not list(tmp_path.iterdir())


def test_the_choice_is_checked_before_anything_is_made() -> None:
    with pytest.raises(BadChoice, match="choose from"):
        plan_of("default", "auto", "nobody", rounds=1)
