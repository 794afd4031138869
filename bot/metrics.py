"""What the bot counts, for Prometheus. No label and no value says who wrote, where, or what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.job_log import Record
from bot.messages import Judgement
from model.dialogue import Reply

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 20, 30, 60)
_TOKENS_PER_SECOND = (2, 5, 10, 20, 35, 50, 75, 100, 150, 250, 500, 1000, 2500)


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the present state is read whenever metrics are asked for; none may block.

    `oldest_seconds` is the age of the entry that has waited longest, 0 when none waits.
    """

    inbox_waiting: Callable[[], float]
    oldest_seconds: Callable[[], float]
    engine_running: Callable[[], float]
    engine_waiting: Callable[[], float]
    model_version: Callable[[], str]
    jobs: Callable[[], Mapping[str, Record]] = dict


class _ReadingsCollector(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """The readings as they are now."""
        gauges = (
            ("inbox_waiting", "Accepted messages that are not answered yet.", self._readings.inbox_waiting),
            ("inbox_oldest_seconds", "Age of the accepted message that waits longest.", self._readings.oldest_seconds),
            ("engine_running", "Requests the model is working on.", self._readings.engine_running),
            ("engine_waiting", "Requests that wait for the model.", self._readings.engine_waiting),
        )
        for name, text, read in gauges:
            yield GaugeMetricFamily(f"malbeot_{name}", text, read())
        version = {"version": self._readings.model_version()}
        yield InfoMetricFamily("malbeot_model", "The model that answers.", version)
        yield from _of_jobs(self._readings.jobs())


def _of_jobs(records: Mapping[str, Record]) -> Iterator[Metric]:
    succeeded = GaugeMetricFamily("malbeot_job_succeeded", "Whether a job's last run succeeded.", labels=["job"])
    finished = GaugeMetricFamily("malbeot_job_finished_time_seconds", "When a job's last run ended.", labels=["job"])
    following = GaugeMetricFamily("malbeot_job_next_time_seconds", "When a job runs next.", labels=["job"])
    for name, record in records.items():
        if record.succeeded is not None:
            succeeded.add_metric([name], record.succeeded)
        for family, at in ((finished, record.finished_at), (following, record.next_at)):
            if at is not None:
                family.add_metric([name], datetime.fromisoformat(at).timestamp())
    yield from (succeeded, finished, following)


class Metrics:
    """All counts of one bot, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._replies = self._counter("replies", "Answers of the model.", "platform", "source", "model_version")
        self._first = self._histogram("first_token_seconds", "From acceptance to the first text shown.", "platform")
        self._final = self._histogram("reply_seconds", "From acceptance to the final answer.", "platform")
        self._tokens = self._counter("generated_tokens", "Tokens generated.")
        self._speed = Histogram(
            "malbeot_generation_tokens_per_second",
            "Speed of each generation.",
            buckets=_TOKENS_PER_SECOND,
            registry=self._registry,
        )
        self._errors = self._counter("errors", "Errors, by kind.", "kind")
        self._dead = self._counter("dead_letters", "Messages given up after several tries.", "platform")
        self._flooded = self._counter("flooded", "Messages refused by flood control.", "platform")
        self._judged = self._counter("feedback", "Judgements of replies.", "judgement")
        self._crises = self._counter("crises", "Messages that took the crisis path.")

    def watch(self, readings: Readings) -> None:
        """Show these readings as well; once, when everything is joined."""
        self._registry.register(_ReadingsCollector(readings))

    def replied(self, platform: str, reply: Reply, seconds: float) -> None:
        """A final answer of the model was sent, so long after its message was accepted."""
        self._replies.labels(platform, reply.source.value, reply.model_version).inc()
        self._final.labels(platform).observe(seconds)

    def first_shown(self, platform: str, seconds: float) -> None:
        """The first text of an answer was there, draft or final, so long after its message was accepted."""
        self._first.labels(platform).observe(seconds)

    def generated(self, tokens: int, seconds: float) -> None:
        """The model made so many tokens in this time, its wait for a slot not counted."""
        self._tokens.inc(tokens)
        if seconds > 0:
            self._speed.observe(tokens / seconds)

    def failed(self, error: BaseException) -> None:
        """Something went wrong. Only the error's class is kept: its text may quote a person."""
        self._errors.labels(type(error).__name__).inc()

    def dead_lettered(self, platform: str) -> None:
        """A message was given up."""
        self._dead.labels(platform).inc()

    def flooded(self, platform: str) -> None:
        """Flood control refused a message."""
        self._flooded.labels(platform).inc()

    def judged(self, judgement: Judgement) -> None:
        """A reply was judged."""
        self._judged.labels(judgement.value).inc()

    def crisis(self) -> None:
        """A message took the crisis path: nothing but the number is kept, not even the platform."""
        self._crises.inc()

    def page(self) -> bytes:
        """Everything in Prometheus' text format, whose content type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"malbeot_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"malbeot_{name}", text, labels, buckets=_SECONDS, registry=self._registry)
