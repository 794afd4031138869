from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.errors import BenchmarkError
from benchmarks.soak import SoakPlan, app, lag_report, memory_report, soak
from benchmarks.workload import Prompts
from model.engine import EngineConfig

MIB = 2**20


def config(folder: Path, **fields: object) -> EngineConfig:
    return EngineConfig(folder, backend="torch", precision="fp32", threads=1, **fields)  # type: ignore[arg-type]


def test_memory_is_compared_between_the_first_and_the_last_tenth() -> None:
    samples = [100 * MIB] * 10 + [500 * MIB] * 80 + [110 * MIB] * 10
    found = memory_report(samples)
    assert (found["rss_start_mib"], found["rss_end_mib"], found["rss_max_mib"]) == (100, 110, 500)
    assert found["rss_drift"] == pytest.approx(0.1)


def test_lag_is_told_in_milliseconds() -> None:
    found = lag_report([0.001] * 98 + [0.005, 0.02])
    assert found == pytest.approx({"p50": 1.0, "p95": 1.0, "p99": 5.0, "max": 20.0})


@pytest.mark.slow
async def test_a_soak_finds_its_rate_and_loses_nothing(tiny: Path, prompts: Prompts) -> None:
    told: list[str] = []
    plan = SoakPlan(seconds=1.5, warm_up=0.2, level_seconds=0.1)
    found = await soak(config(tiny), prompts, plan, told.append)
    json.dumps(found)
    assert found["lost"] == 0
    assert found["load"]["asked"] > 0
    assert found["rate_per_s"] == found["saturation_per_s"] / 2
    assert found["children"] == 1
    assert found["rss_end_mib"] > 50
    assert set(found["loop_lag_ms"]) == {"p50", "p95", "p99", "max"}
    assert told


@pytest.mark.slow
async def test_requests_refused_are_counted_as_lost(tiny: Path, prompts: Prompts) -> None:
    plan = SoakPlan(seconds=0.3, warm_up=0.05, rate=300.0)
    found = await soak(config(tiny, max_running=1, queue_limit=0), prompts, plan, lambda _: None)
    assert found["lost"] == found["load"]["refused"] > 0
    assert found["saturation_per_s"] is None


@pytest.mark.slow
async def test_an_engine_that_bears_nothing_is_not_soaked(tiny: Path, prompts: Prompts) -> None:
    plan = SoakPlan(seconds=1.0, rate=0.0)
    with pytest.raises(BenchmarkError, match="nothing was soaked"):
        await soak(config(tiny), prompts, plan, lambda _: None)


def test_an_unknown_backend_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--json", str(tmp_path / "x.json"), "--backend", "onnx"])
    assert result.exit_code == 2
    assert result.stderr == "There is no backend 'onnx'; choose from auto, torch, openvino.\n"
