from __future__ import annotations

import pytest

from model.dialogue import DialogueContext, Finish, Reply, Sampling, Source
from model.errors import ContextTooLong, EngineFailed
from model.protocol import Done, Event, Failed, Piece, Started, Submit
from model.scheduler import Answer, Scheduler

REPLY = Reply(text="응", source=Source.GENERATOR, model_version="v", finish=Finish.STOP, seconds=0)


def submit(request_id: int) -> Submit:
    return Submit(request_id, DialogueContext(), Sampling(), streamed=False)


class FakeAnswers:
    """Answers that say their id `lengths[id]` times; the log has what they, and the model, did in which order."""

    def __init__(self, lengths: dict[int, int], error: Exception | None = None) -> None:
        self.lengths = lengths
        self.error = error
        self.log: list[str] = []

    def work(self) -> None:
        self.log.append("work")

    def scheduler(self, max_running: int) -> Scheduler:
        return Scheduler(self.answer, self.work, max_running)

    def answer(self, request: Submit) -> Answer:
        name = str(request.request_id)
        try:
            for _ in range(self.lengths[request.request_id]):
                self.log.append(name)
                yield name
            if self.error is not None:
                raise self.error
            return REPLY
        except GeneratorExit:
            self.log.append(f"closed {name}")
            raise


def run(scheduler: Scheduler) -> list[Event]:
    events: list[Event] = []
    while not scheduler.idle:
        events += scheduler.step()
    return events


def test_one_step_of_the_model_advances_all_that_run() -> None:
    answers = FakeAnswers({1: 3, 2: 2})
    scheduler = answers.scheduler(max_running=2)
    scheduler.submit(submit(1))
    scheduler.submit(submit(2))
    events = run(scheduler)
    assert answers.log == ["1", "2", "work", "1", "2", "work", "1", "work"]
    assert events[:4] == [Started(1), Piece(1, "1"), Started(2), Piece(2, "2")]
    assert events[-2:] == [Done(2, REPLY), Done(1, REPLY)]


def test_the_queue_is_first_come_first_served() -> None:
    answers = FakeAnswers({1: 3, 2: 1, 3: 1})
    scheduler = answers.scheduler(max_running=1)
    for request_id in (1, 2, 3):
        scheduler.submit(submit(request_id))
    started = [event.request_id for event in run(scheduler) if isinstance(event, Started)]
    assert started == [1, 2, 3]
    assert [entry for entry in answers.log if entry != "work"] == ["1", "1", "1", "2", "3"]


def test_a_request_is_announced_before_any_work_on_it() -> None:
    answers = FakeAnswers({1: 1})
    scheduler = answers.scheduler(max_running=1)
    scheduler.submit(submit(1))
    assert next(scheduler.step()) == Started(1)
    assert answers.log == []


def test_cancelling_frees_the_slot_and_closes_the_generation() -> None:
    answers = FakeAnswers({1: 100, 2: 1})
    scheduler = answers.scheduler(max_running=1)
    scheduler.submit(submit(1))
    scheduler.submit(submit(2))
    list(scheduler.step())
    scheduler.cancel(1)
    assert run(scheduler) == [Started(2), Piece(2, "2"), Done(2, REPLY)]
    assert answers.log == ["1", "work", "1", "closed 1", "2", "work"]


def test_a_waiting_request_can_be_cancelled_and_an_unknown_one_does_no_harm() -> None:
    scheduler = FakeAnswers({1: 1}).scheduler(max_running=1)
    scheduler.submit(submit(1))
    scheduler.cancel(1)
    scheduler.cancel(99)
    assert scheduler.idle


def test_an_error_fails_its_request_alone() -> None:
    answers = FakeAnswers({1: 0, 2: 2}, error=ContextTooLong("Shorten the persona."))
    healthy = FakeAnswers({2: 2})
    scheduler = Scheduler(
        lambda request: (answers if request.request_id == 1 else healthy).answer(request), healthy.work, 2
    )
    scheduler.submit(submit(1))
    scheduler.submit(submit(2))
    events = run(scheduler)
    failed = next(event for event in events if isinstance(event, Failed))
    assert (failed.request_id, str(failed.error)) == (1, "Shorten the persona.")
    assert events[-1] == Done(2, REPLY)


def test_an_unexpected_error_becomes_engine_failed_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = FakeAnswers({1: 0}, error=RuntimeError("broken tensor")).scheduler(max_running=1)
    scheduler.submit(submit(1))
    failed = run(scheduler)[-1]
    assert isinstance(failed, Failed) and isinstance(failed.error, EngineFailed)
    assert "broken tensor" not in str(failed.error)
    assert "broken tensor" in caplog.text


def test_what_the_model_raises_is_not_hidden() -> None:
    def work() -> None:
        raise RuntimeError("out of memory")

    scheduler = Scheduler(FakeAnswers({1: 2}).answer, work, max_running=1)
    scheduler.submit(submit(1))
    with pytest.raises(RuntimeError, match="out of memory"):
        run(scheduler)


def test_a_request_that_is_done_at_once_leaves_the_model_alone() -> None:
    answers = FakeAnswers({1: 0})
    scheduler = answers.scheduler(max_running=1)
    scheduler.submit(submit(1))
    assert run(scheduler) == [Started(1), Done(1, REPLY)]
    assert answers.log == []
