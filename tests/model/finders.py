"""Lookups over a few dialogues and classes, judged as a test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.act_reader import ActReader
from model.dialogue import DialogueContext, SpeechLevel
from model.dual_encoder import DualEncoder
from model.fact_reader import FactReader
from model.finder import Curve, Finder
from model.lines import Entry
from model.listener import GENERAL, REACTION, Listener, ListeningClass
from model.retriever import Fit, Match, Retriever
from model.vector_index import VectorIndex
from tests.model.builders import user_last
from tests.model.embedders import Array, BigramEmbedder, identity_ranker, no_lines, plain_reader

HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL
FACTS = ("내 이름은 유희다.", "나는 떡볶이를 좋아한다.")
STRAIGHT = Curve(slope=6.0, middle=0.5)
HEARD = ListeningClass(
    "pets",
    "proud",
    ("우리 강아지 너무 귀여워",),
    {HAEYO: ("정말 사랑스럽겠어요.",), BANMAL: ("진짜 귀엽겠다.",)},
)

PASSED = ListeningClass(REACTION, "passed", (), {HAEYO: ("정말 축하해요!",), BANMAL: ("진짜 축하해!",)})
PLANS = ListeningClass(GENERAL, "plans", ("내일 산에 가려고",), {HAEYO: ("좋은 계획이네요.",), BANMAL: ("좋네.",)})


def entry(said: str, reply: str, persona: tuple[str, ...] = (), level: SpeechLevel = HAEYO) -> Entry:
    return Entry(said, reply, None, frozenset(persona), level)


FOOD = entry("점심 뭐 먹을까요?", "김밥 어때요?")
PETS = entry("우리 강아지가 아파요", "병원에 가 봤어요?")
NAME = entry("이름이 뭐예요?", "비밀이에요.")


def reader_weights() -> dict[str, Array]:
    """Takes what is like "이름이 뭐예요?" for a question about the bot."""
    asks = BigramEmbedder().embed(["이름이 뭐예요?"])[0]
    return plain_reader(asks * 20, bias=-12.0, scale=40.0, fit_bias=-2.0)


class Judge:
    """Finds replies as fitting as it was told, the rest not at all; `asked` are the candidates of each call."""

    def __init__(self, fits: Mapping[str, Fit]) -> None:
        self._fits = fits
        self.asked: list[list[Match]] = []

    def fits(self, context: DialogueContext, matches: Sequence[Match]) -> list[Fit]:
        self.asked.append(list(matches))
        return [self._fits.get(match.text, Fit(0.01, 0.01)) for match in matches]


def act_reader(act: str = "plans", chance: float = 0.5) -> ActReader:
    """Takes everything for a plan, or for another act, as surely as it is told."""
    bias = np.array([np.log(chance / (1 - chance))], np.float32)
    return ActReader([act], np.zeros((384, 1), np.float32), bias, no_lines())


def always_asked() -> dict[str, Array]:
    """Takes every question for one about the bot."""
    return plain_reader(np.zeros(384, np.float32), bias=9.0, scale=40.0, fit_bias=9.0)


def finder(
    *entries: Entry,
    acts: ActReader | None = None,
    reranker: Judge | None = None,
    facts: dict[str, Array] | None = None,
) -> Finder:
    vectors = no_lines()
    return Finder(
        Retriever(entries, VectorIndex(entries, vectors)),
        STRAIGHT,
        Listener([HEARD, PLANS, PASSED], vectors),
        FactReader(facts or reader_weights(), vectors),
        DualEncoder(identity_ranker(), vectors),
        acts,
        reranker,
    )


def asked(*texts: str, level: SpeechLevel | None = HAEYO, persona: tuple[str, ...] = ()) -> DialogueContext:
    return DialogueContext(persona, user_last(*texts), level)
