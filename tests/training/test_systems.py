from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from model.dialogue import Candidate, DialogueContext, Finish, Role, Sampling, Source, SpeechLevel, Turn
from model.finder import CHARACTERS, Finder
from model.lines import Entry
from model.ranker import log_odds
from model.retriever import Retriever
from tests.training.builders import talk, tiny
from training import systems
from training.corpora import write_dialogues
from training.examples import HELD_OUT_PERCENT, is_held_out
from training.systems import generator_alone, learnt_entries, plain_retrieval, served

FOODS = ("김밥", "라면", "순대", "냉면")


class Scored(Finder):
    """Scores what was written by its length."""

    def scores(self, context: DialogueContext, texts: Sequence[str]) -> list[float] | None:
        return [float(len(text)) for text in texts]


class Written:
    """A generator that answers "쓴 말" and its number; `asked` are the contexts of each call."""

    def __init__(self) -> None:
        self.asked: list[list[DialogueContext]] = []

    def __call__(self, contexts: Sequence[DialogueContext]) -> list[Candidate]:
        self.asked.append(list(contexts))
        return [written(f"쓴 말 {number}") for number in range(len(contexts))]


def written(text: str, finish: Finish = Finish.STOP) -> Candidate:
    return Candidate(text, Source.GENERATOR, finish)


def entries() -> list[Entry]:
    return [Entry(f"{food} 먹을까?", f"{food} 좋지!", None, frozenset(), SpeechLevel.BANMAL) for food in FOODS]


def asked(text: str) -> DialogueContext:
    return DialogueContext(turns=(Turn(Role.USER, text),), speech_level=SpeechLevel.BANMAL)


def finder() -> Finder:
    return Finder(Retriever(entries()), CHARACTERS)


def test_what_is_held_out_is_not_looked_up(tmp_path: Path) -> None:
    openings = [f"{number}번 버스 왔어?" for number in range(100)]
    write_dialogues([talk(opening, "응!", "타자", "그래!") for opening in openings], tmp_path / "own.jsonl")
    kept = [opening for opening in openings if not is_held_out(opening, HELD_OUT_PERCENT)]
    assert 0 < len(kept) < 100
    found = learnt_entries(tmp_path)
    assert [entry.said for entry in found if entry.previous is None] == kept
    assert len(found) == 2 * len(kept), "what follows a held-out opening is left out with it"


def test_plain_retrieval_answers_however_far_the_nearest_is() -> None:
    near, far, nothing = plain_retrieval(finder())(
        [asked("라면 먹을까?"), asked("순대국집 갈까 먹으러"), asked("ㅋㅋ")]
    )
    assert near == Candidate("라면 좋지!", Source.RETRIEVER, Finish.STOP)
    assert far.text in {f"{food} 좋지!" for food in FOODS}
    assert (nothing.text, nothing.source) == ("", Source.RETRIEVER)


def test_what_is_likely_to_fit_is_served_and_the_rest_is_written() -> None:
    generator = Written()
    contexts = [asked("ㅋㅋ"), asked("라면 먹을까?"), asked("xyz"), asked("김밥 먹을까?")]
    answers = served(finder(), generator, 0.5)(contexts)
    assert [answer.text for answer in answers] == ["쓴 말 0", "라면 좋지!", "쓴 말 1", "김밥 좋지!"]
    assert generator.asked == [[contexts[0], contexts[2]]]
    assert [answer.source for answer in answers] == [Source.GENERATOR, Source.RETRIEVER] * 2
    assert answers[1].score == pytest.approx(log_odds(CHARACTERS(1.0)), abs=0.01)


def test_how_likely_the_generators_replies_fit_decides_between_the_two() -> None:
    context = asked("라면 말고 먹을까?")
    (match,) = finder().nearest(context, 1)
    below, above = match.confidence - 0.01, match.confidence + 0.01
    assert served(finder(), Written(), below)([context])[0].text == match.text
    assert served(finder(), Written(), match.confidence)([context])[0].text == match.text
    assert served(finder(), Written(), above)([context])[0].text == "쓴 말 0"


def test_where_all_is_found_nothing_is_written() -> None:
    generator = Written()
    assert len(served(finder(), generator, 0.5)([asked("라면 먹을까?")])) == 1
    assert served(finder(), generator, 0.5)([]) == []
    assert generator.asked == []


def drafts(monkeypatch: pytest.MonkeyPatch, *texts: Sequence[Candidate]) -> list[Sampling]:
    """Have the model write `texts[n]` in its n-th go; the samplings it is asked with."""
    samplings: list[Sampling] = []

    def generate(checkpoint: object, contexts: object, sampling: Sampling, batch: int) -> list[Candidate]:
        samplings.append(sampling)
        return list(texts[len(samplings) - 1])

    monkeypatch.setattr(systems, "generate_replies", generate)
    return samplings


def test_the_best_of_four_drafts_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    samplings = drafts(
        monkeypatch,
        [written("좋아."), written("응, 그러자.")],
        [written("아주 좋아."), written("아마도 그럴 거야", Finish.LENGTH)],
        [written("싫어."), written("")],
        [written("네, 저도 정말 좋아요."), written("응.")],
    )
    answers = generator_alone(tiny(), Scored(Retriever(entries()), CHARACTERS), seed=5)([asked("가"), asked("나")])
    assert [answer.text for answer in answers] == ["아주 좋아.", "응, 그러자."], "level and end go before the score"
    assert [sampling.seed for sampling in samplings] == [5, 6, 7, 8]
    assert {sampling.candidates for sampling in samplings} == {1}


def test_without_a_ranker_the_first_fitting_draft_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [[written("좋아요.")], [written("좋아.")], [written("아주 좋아.")], [written("싫어.")]]
    drafts(monkeypatch, *texts)
    assert generator_alone(tiny(), None)([asked("가")])[0].text == "좋아."
    drafts(monkeypatch, *texts)
    assert generator_alone(tiny(), finder())([asked("가")])[0].text == "좋아."


def test_where_every_draft_is_empty_the_answer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    drafts(monkeypatch, *[[written("")]] * 4)
    (answer,) = generator_alone(tiny(), None)([asked("가")])
    assert (answer.text, answer.source) == ("", Source.GENERATOR)


def test_a_model_of_few_positions_answers_every_context() -> None:
    answers = generator_alone(tiny(positions=64), None, seed=1)([asked("점심 뭐 먹지?"), asked("졸려")])
    again = generator_alone(tiny(positions=64), None, seed=1)([asked("점심 뭐 먹지?"), asked("졸려")])
    assert len(answers) == 2
    assert answers == again
