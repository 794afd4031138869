from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from model.dialogue import Candidate, DialogueContext, Finish, Reply, Role, Sampling, Source, SpeechLevel, Turn
from model.errors import EngineFailed
from model.protocol import EngineConfig, Submit
from model.ranker import Answerer, choose
from model.retriever import Match

POLITE = DialogueContext(
    turns=(Turn(Role.USER, "안녕"), Turn(Role.BOT, "안녕하세요!"), Turn(Role.USER, "뭐 해?")),
    speech_level=SpeechLevel.HAEYO,
)


def candidate(text: str, score: float | None = None, finish: Finish = Finish.STOP) -> Candidate:
    return Candidate(text, Source.GENERATOR, finish, score)


def texts(candidates: Sequence[Candidate]) -> list[str]:
    return [each.text for each in candidates]


def test_the_best_score_goes_first() -> None:
    given = [candidate("쉬어요.", 0.1), candidate("놀아요.", 2.0), candidate("자요.", -1.0)]
    assert texts(choose(given, POLITE)) == ["놀아요.", "쉬어요.", "자요."]


def test_without_scores_the_given_order_stays() -> None:
    assert texts(choose([candidate("쉬어요."), candidate("놀아요.")], POLITE)) == ["쉬어요.", "놀아요."]


def test_the_other_speech_level_goes_behind_all_that_do_not_show_it() -> None:
    given = [candidate("나 지금 쉰다.", 9.0), candidate("음악", -5.0), candidate("쉬어요.", -6.0)]
    assert texts(choose(given, POLITE)) == ["음악", "쉬어요.", "나 지금 쉰다."]
    casual = replace(POLITE, speech_level=SpeechLevel.BANMAL)
    assert texts(choose(given, casual)) == ["나 지금 쉰다.", "음악", "쉬어요."]
    unknown = replace(POLITE, speech_level=None)
    assert texts(choose(given, unknown)) == ["나 지금 쉰다.", "음악", "쉬어요."]


def test_a_cut_candidate_goes_behind_whole_ones_but_before_the_wrong_level() -> None:
    given = [candidate("쉬어요. 그리고", 9.0, Finish.LENGTH), candidate("쉰다.", 8.0), candidate("놀아요.", 0.0)]
    assert texts(choose(given, POLITE)) == ["놀아요.", "쉬어요. 그리고", "쉰다."]


def test_empty_and_double_candidates_are_dropped() -> None:
    given = [candidate(""), candidate(" \n"), candidate("쉬어요.", 1.0), candidate("쉬어요.", 1.0)]
    assert texts(choose(given, POLITE)) == ["쉬어요."]
    assert choose([candidate("")], POLITE) == []


@pytest.mark.parametrize("repeat", ["안녕하세요!", "안녕 하세요~", "안녕하세요 ㅎㅎ"])
def test_what_the_bot_said_is_not_said_again_unless_nothing_else_is_left(repeat: str) -> None:
    assert texts(choose([candidate(repeat, 9.0), candidate("쉬어요.", 0.0)], POLITE)) == ["쉬어요."]
    assert texts(choose([candidate(repeat), candidate("")], POLITE)) == [repeat]


def test_what_is_to_be_avoided_counts_as_said() -> None:
    context = replace(POLITE, avoid=("쉬어요.",))
    assert texts(choose([candidate("쉬어요", 9.0), candidate("놀아요.", 0.0)], context)) == ["놀아요."]


def test_the_users_lines_may_be_echoed() -> None:
    assert texts(choose([candidate("안녕", 1.0), candidate("쉬어요.", 0.0)], POLITE)) == ["안녕", "쉬어요."]


def test_lines_of_signs_alone_are_told_apart() -> None:
    context = replace(POLITE, turns=(Turn(Role.BOT, "ㅋㅋㅋ"), Turn(Role.USER, "😀")))
    assert texts(choose([candidate("ㅋㅋㅋ", 1.0), candidate("😀", 0.0)], context)) == ["😀"]


class FakeGeneration:
    """Writes given texts, a character of the first a step."""

    def __init__(self, written: list[str]) -> None:
        self.written = written
        self.length = 0
        self.closed = False

    @property
    def finished(self) -> bool:
        return self.length >= len(self.written[0])

    def step(self) -> None:
        self.length += 1

    def text(self) -> str:
        return self.written[0][: self.length].strip()

    def candidates(self) -> list[Candidate]:
        return [candidate(text) for text in self.written]

    def close(self) -> None:
        self.closed = True


class FakeBackend:
    """Writes one of `drafts` after the other, and scores by length."""

    version = "fake-1"

    def __init__(self, *drafts: list[str]) -> None:
        self.drafts = list(drafts)
        self.samplings: list[Sampling] = []
        self.scored: list[list[str]] = []
        self.generations: list[FakeGeneration] = []

    def start(self, context: DialogueContext, sampling: Sampling) -> FakeGeneration:
        self.samplings.append(sampling)
        self.generations.append(FakeGeneration(self.drafts.pop(0)[: sampling.candidates]))
        return self.generations[-1]

    def step(self) -> None:
        for generation in self.generations:
            if not generation.closed:
                generation.step()

    def score(self, context: DialogueContext, texts: Sequence[str]) -> list[float]:
        self.scored.append(list(texts))
        return [float(len(text)) for text in texts]


class FixedLookup:
    """Always finds the same line."""

    def __init__(self, text: str, confidence: float) -> None:
        self.match = Match(text, confidence)

    def nearest(self, context: DialogueContext, count: int) -> list[Match]:
        return [self.match][:count]

    def scores(self, context: DialogueContext, texts: Sequence[str]) -> None:
        return None


def answer(
    backend: FakeBackend, lookup: FixedLookup | None = None, streamed: bool = False, candidates: int = 4
) -> tuple[list[str], Reply]:
    """The pieces and the reply of one request."""
    config = EngineConfig(Path("unused"), take_confidence=0.9, generator_confidence=0.6)
    request = Submit(1, POLITE, Sampling(candidates=candidates, seed=7), streamed)
    answering = Answerer(backend, lookup, config).answer(request)
    pieces: list[str] = []
    while True:
        try:
            piece = next(answering)
        except StopIteration as end:
            assert all(generation.closed for generation in backend.generations)
            return [piece for piece in pieces if piece], end.value
        pieces.append(piece)
        backend.step()


def test_the_reply_is_the_best_of_the_candidates_and_tells_them_all() -> None:
    _, reply = answer(FakeBackend(["쉬어요.", "음악 들어요.", ""]))
    assert (reply.text, reply.source, reply.model_version) == ("음악 들어요.", Source.GENERATOR, "fake-1")
    assert reply.candidates == (candidate("음악 들어요.", 7.0), candidate("쉬어요.", 4.0))


def test_one_candidate_alone_is_not_ranked() -> None:
    backend = FakeBackend(["쉬어요."])
    _, reply = answer(backend, candidates=1)
    assert reply.candidates == (candidate("쉬어요.", None),)
    assert backend.scored == []


def test_a_near_match_is_taken_outright() -> None:
    backend = FakeBackend()
    pieces, reply = answer(backend, FixedLookup("책 읽고 있었어요.", 0.9))
    assert (reply.text, reply.source, reply.finish) == ("책 읽고 있었어요.", Source.RETRIEVER, Finish.STOP)
    assert (pieces, backend.samplings, reply.tokens) == ([], [], 0)


def test_a_near_match_is_streamed_in_one_piece() -> None:
    pieces, reply = answer(FakeBackend(), FixedLookup("책 읽고 있었어요.", 0.95), streamed=True)
    assert pieces == ["책 읽고 있었어요."] == [reply.text]


def test_a_less_near_match_is_one_candidate_among_others() -> None:
    _, reply = answer(FakeBackend(["쉬어요."]), FixedLookup("책 읽고 있었어요.", 0.7), candidates=1)
    assert reply.source is Source.RETRIEVER
    assert texts(reply.candidates) == ["책 읽고 있었어요.", "쉬어요."]


def test_a_far_match_is_none() -> None:
    _, reply = answer(FakeBackend(["쉬어요."]), FixedLookup("책 읽고 있었어요.", 0.59))
    assert texts(reply.candidates) == ["쉬어요."]


def test_pieces_join_to_the_streamed_reply_of_one_candidate() -> None:
    backend = FakeBackend([" 쉬고 있어요. ", "놀아요."])
    pieces, reply = answer(backend, FixedLookup("책 읽고 있었어요.", 0.7), streamed=True)
    assert len(pieces) > 3
    assert "".join(pieces) == "쉬고 있어요."
    assert backend.samplings[0].candidates == 1
    assert reply.source is Source.GENERATOR


def test_when_all_is_empty_another_seed_is_tried() -> None:
    backend = FakeBackend(["", ""], ["쉬어요.", ""])
    _, reply = answer(backend)
    assert reply.text == "쉬어요."
    assert [sampling.seed for sampling in backend.samplings] == [7, 8]


def test_a_match_makes_a_second_try_needless() -> None:
    backend = FakeBackend(["", ""])
    _, reply = answer(backend, FixedLookup("책 읽고 있었어요.", 0.7))
    assert reply.text == "책 읽고 있었어요."
    assert len(backend.samplings) == 1


def test_a_model_with_nothing_to_say_fails() -> None:
    with pytest.raises(EngineFailed, match="nothing to say"):
        answer(FakeBackend(["", ""], ["", ""]))
