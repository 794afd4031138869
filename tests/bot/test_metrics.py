from __future__ import annotations

import pytest
from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families

from bot.errors import StorageFailed
from bot.messages import Judgement
from bot.metrics import Metrics, Readings
from model.dialogue import Candidate, Finish, Reply, Source

SECRET = "우리 집 주소는 서울이야"
# What may tell replies, errors and buckets apart; nothing else may.
LABELS = {"platform", "source", "model_version", "kind", "judgement", "version", "le"}


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.page().decode())}


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    found = [
        entry.value
        for family in families(metrics).values()
        for entry in family.samples
        if entry.name == sample and entry.labels == labels
    ]
    return found[0] if found else None


def reply(text: str = SECRET) -> Reply:
    best = Candidate(text, Source.RETRIEVER, Finish.STOP)
    return Reply(text, Source.RETRIEVER, "malbeot-3", Finish.STOP, 0.5, (best,))


def test_replies_are_counted_by_platform_source_and_model() -> None:
    metrics = Metrics()
    for seconds in (0.3, 0.7):
        metrics.first_shown("telegram", seconds / 2)
        metrics.replied("telegram", reply(), seconds)
    metrics.replied("discord", reply(), 4)
    telegram = {"platform": "telegram", "source": "retriever", "model_version": "malbeot-3"}
    assert value(metrics, "malbeot_replies_total", **telegram) == 2
    assert value(metrics, "malbeot_reply_seconds_count", platform="telegram") == 2
    assert value(metrics, "malbeot_reply_seconds_sum", platform="telegram") == pytest.approx(1.0)
    assert value(metrics, "malbeot_reply_seconds_bucket", platform="telegram", le="0.5") == 1
    assert value(metrics, "malbeot_first_token_seconds_sum", platform="telegram") == pytest.approx(0.5)
    assert value(metrics, "malbeot_reply_seconds_count", platform="discord") == 1


def test_speed_of_generation() -> None:
    metrics = Metrics()
    metrics.generated(40, 0.5)
    metrics.generated(5, 0)
    assert value(metrics, "malbeot_generated_tokens_total") == 45
    assert value(metrics, "malbeot_generation_tokens_per_second_sum") == 80
    assert value(metrics, "malbeot_generation_tokens_per_second_count") == 1


def test_what_goes_wrong_and_what_people_think_is_counted() -> None:
    metrics = Metrics()
    metrics.failed(StorageFailed(SECRET))
    metrics.failed(StorageFailed("다른 까닭"))
    metrics.dead_lettered("discord")
    metrics.flooded("telegram")
    metrics.judged(Judgement.UP)
    metrics.crisis()
    assert value(metrics, "malbeot_errors_total", kind="StorageFailed") == 2
    assert value(metrics, "malbeot_dead_letters_total", platform="discord") == 1
    assert value(metrics, "malbeot_flooded_total", platform="telegram") == 1
    assert value(metrics, "malbeot_feedback_total", judgement="up") == 1
    assert value(metrics, "malbeot_crises_total") == 1


def test_readings_are_read_when_asked_for() -> None:
    metrics = Metrics()
    state = {"waiting": 3.0, "oldest": 12.5, "running": 2.0, "queued": 1.0}
    version = ["malbeot-3"]
    readings = Readings(
        inbox_waiting=lambda: state["waiting"],
        oldest_seconds=lambda: state["oldest"],
        engine_running=lambda: state["running"],
        engine_waiting=lambda: state["queued"],
        model_version=lambda: version[0],
    )
    metrics.watch(readings)
    assert value(metrics, "malbeot_inbox_waiting") == 3
    assert value(metrics, "malbeot_inbox_oldest_seconds") == 12.5
    assert value(metrics, "malbeot_engine_running") == 2
    assert value(metrics, "malbeot_engine_waiting") == 1
    assert value(metrics, "malbeot_model_info", version="malbeot-3") == 1
    state["waiting"], version[0] = 0.0, "malbeot-4"
    assert value(metrics, "malbeot_inbox_waiting") == 0
    assert value(metrics, "malbeot_model_info", version="malbeot-4") == 1
    assert value(metrics, "malbeot_model_info", version="malbeot-3") is None


def test_no_label_and_no_line_names_a_person_a_chat_or_a_text() -> None:
    metrics = Metrics()
    metrics.watch(Readings(lambda: 0, lambda: 0, lambda: 0, lambda: 0, lambda: "malbeot-3"))
    metrics.replied("telegram", reply(), 1)
    metrics.first_shown("telegram", 1)
    metrics.generated(1, 1)
    metrics.failed(StorageFailed(SECRET))
    metrics.dead_lettered("telegram")
    metrics.flooded("telegram")
    for judgement in Judgement:
        metrics.judged(judgement)
    metrics.crisis()
    shown = families(metrics).values()
    assert len(shown) >= 15
    assert {label for family in shown for sample in family.samples for label in sample.labels} == LABELS
    assert SECRET not in metrics.page().decode()


def test_two_bots_do_not_share_their_counts_with_each_other_or_the_process() -> None:
    first, second = Metrics(), Metrics()
    first.crisis()
    assert value(second, "malbeot_crises_total") == 0
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("malbeot")]
