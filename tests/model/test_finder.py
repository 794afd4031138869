from __future__ import annotations

from dataclasses import replace

import pytest

from model.dialogue import DEFAULT_PERSONA, DialogueContext, Source, SpeechLevel
from model.finder import CHARACTERS, LISTENING_NEAR, SURELY_ASKED, Curve, Finder, with_odds, worth
from model.lines import Entry
from model.listener import Listener, ListeningClass
from model.retriever import Fit, Retriever
from tests.model.embedders import no_lines
from tests.model.finders import (
    BANMAL,
    FACTS,
    FOOD,
    HAEYO,
    HEARD,
    NAME,
    PETS,
    Judge,
    act_reader,
    always_asked,
    asked,
    entry,
    finder,
)


def test_a_curve_is_one_half_in_its_middle_and_rises() -> None:
    curve = Curve(slope=10.0, middle=0.3)
    assert curve(0.3) == 0.5
    assert 0 < curve(-1) < curve(0.2) < 0.5 < curve(0.4) < curve(1) < 1


def test_nearness_becomes_a_chance() -> None:
    (best,) = Finder(Retriever([FOOD]), CHARACTERS).nearest(asked("점심 뭐 먹을까요?"), 1)
    assert (best.text, best.source) == ("김밥 어때요?", Source.RETRIEVER)
    assert best.confidence == pytest.approx(CHARACTERS(1.0), abs=1e-4)


def test_dialogues_and_listening_lines_come_with_their_sources_likeliest_first() -> None:
    matches = finder(FOOD, PETS).nearest(asked("우리 강아지 너무 귀여워"), 5)
    assert (matches[0].text, matches[0].source) == ("정말 사랑스럽겠어요.", Source.LISTENER)
    assert matches[0].confidence == pytest.approx(LISTENING_NEAR(1.0), abs=1e-4)
    assert Source.RETRIEVER in {match.source for match in matches}
    chances = [match.confidence for match in matches]
    assert chances == sorted(chances, reverse=True)


def test_no_more_than_asked_for() -> None:
    entries = [entry("강아지 귀여워요", f"그래요 {number}.") for number in range(9)]
    for count in (1, 3):
        assert len(finder(*entries).nearest(asked("강아지 귀여워요"), count)) == count


@pytest.mark.parametrize(
    ("level", "said"), [(HAEYO, "제 이름은 유희예요."), (None, "제 이름은 유희예요."), (BANMAL, "내 이름은 유희야.")]
)
def test_a_question_about_the_bot_is_answered_with_its_fact(level: SpeechLevel | None, said: str) -> None:
    best, *_ = finder(FOOD, NAME).nearest(asked("이름이 뭐예요?", level=level, persona=FACTS), 3)
    assert (best.text, best.source) == (said, Source.PERSONA)
    assert SURELY_ASKED < best.confidence <= 1


def test_asked_about_itself_the_bot_says_what_its_own_persona_says() -> None:
    own = entry("이름이 뭐예요?", "유희라고 해요!", persona=FACTS)
    matches = finder(NAME, own).nearest(asked("이름이 뭐예요?", persona=FACTS), 5)
    assert {match.text for match in matches if match.source is not Source.LISTENER} == {
        "제 이름은 유희예요.",
        "유희라고 해요!",
    }


def test_no_fact_is_said_twice() -> None:
    again = asked("이름이 뭐예요?", "제 이름은 유희예요.", "이름이 뭐예요?", persona=FACTS)
    assert Source.PERSONA not in {match.source for match in finder(NAME).nearest(again, 5)}
    avoided = replace(asked("이름이 뭐예요?", persona=FACTS), avoid=("제 이름은 유희예요.",))
    assert Source.PERSONA not in {match.source for match in finder(NAME).nearest(avoided, 5)}


def test_a_fact_that_cannot_be_restated_is_not_said() -> None:
    matches = finder(NAME).nearest(asked("이름이 뭐예요?", persona=("이름이 뭐냐면 유희!",)), 5)
    assert Source.PERSONA not in {match.source for match in matches}


def test_what_asks_for_nothing_gets_no_fact() -> None:
    matches = finder(FOOD).nearest(asked("점심 뭐 먹을까요?", persona=FACTS), 5)
    assert matches[0].text == "김밥 어때요?"
    assert Source.PERSONA not in {match.source for match in matches}


@pytest.mark.parametrize("reply", ["저는 AI라서 못 먹어요.", "인공지능이라 몰라요.", "저는 몸이 없어요."])
def test_a_persona_that_is_a_person_does_not_speak_as_an_ai(reply: str) -> None:
    entries = [entry("점심 뭐 먹을까요?", reply), entry("점심 뭐 먹을까요", "국수요.")]
    lookup = Finder(Retriever(entries), CHARACTERS)
    found = [
        {match.text for match in lookup.nearest(asked("점심 뭐 먹을까요?", persona=persona), 5)}
        for persona in (("나는 간호사다.",), DEFAULT_PERSONA, ())
    ]
    assert found == [{"국수요."}, {reply, "국수요."}, {reply, "국수요."}]


def test_a_listening_line_does_not_speak_as_an_ai_for_a_person_either() -> None:
    speaking = ListeningClass("pets", "proud", HEARD.said, {HAEYO: ("저는 AI라서 부러워요.",)})
    lookup = Finder(Retriever([FOOD]), CHARACTERS, Listener([speaking], no_lines()))
    context = asked("우리 강아지 너무 귀여워", persona=("나는 간호사다.",))
    assert "저는 AI라서 부러워요." not in [match.text for match in lookup.nearest(context, 5)]


@pytest.mark.parametrize("level", list(SpeechLevel))
def test_all_sources_keep_to_the_speech_level_and_repeat_nothing(level: SpeechLevel) -> None:
    entries = [FOOD, entry("강아지 귀여워", "귀엽네요!"), entry("강아지 귀여워", "귀엽네!", level=BANMAL)]
    allowed = {
        HAEYO: {"김밥 어때요?", "귀엽네요!", "정말 사랑스럽겠어요."},
        BANMAL: {"귀엽네!", "진짜 귀엽겠다."},
    }
    found = {match.text for match in finder(*entries).nearest(asked("우리 강아지 귀여워", level=level), 9)}
    assert found <= allowed[level]
    assert len(found) >= 2
    heard = "정말 사랑스럽겠어요." if level is HAEYO else "진짜 귀엽겠다."
    again = asked("우리 강아지 귀여워", heard, "우리 강아지 귀여워", level=level)
    assert heard not in {match.text for match in finder(*entries).nearest(again, 9)}


def test_the_nearest_dialogue_is_told_however_far_it_is() -> None:
    assert finder(FOOD).nearest_dialogue(asked("점심은 어디서 할까요?")) == "김밥 어때요?"
    assert finder(FOOD).nearest_dialogue(DialogueContext()) is None


def test_replies_are_scored_where_there_are_vectors() -> None:
    scores = finder(FOOD).scores(asked("강아지 귀여워"), ["김밥이요", "강아지 귀여워요"])
    assert scores is not None
    assert scores[0] < scores[1]
    assert Finder(Retriever([FOOD]), CHARACTERS).scores(asked("강아지"), ["네"]) is None


def judged(*entries: Entry, said: str = "점심 뭐 먹을까요?", **fits: Fit) -> list[str]:
    """The replies, best first, where those called `fits` fit so and no other does."""
    lookup = finder(*entries, reranker=Judge(fits))
    return [match.text for match in lookup.nearest(asked(said), len(fits))]


def test_how_well_a_reply_fits_goes_before_how_near_it_is() -> None:
    near, far = entry("점심 뭐 먹을까요?", "가"), entry("점심에 뭐 하세요?", "나")
    assert judged(near, far, 가=Fit(0.9, 0.5), 나=Fit(0.2, 0.1)) == ["가", "나"]
    assert judged(near, far, 가=Fit(0.2, 0.1), 나=Fit(0.9, 0.5)) == ["나", "가"]


def test_of_two_that_fit_as_well_the_one_about_this_very_line_is_said() -> None:
    entries = [entry("점심 뭐 먹을까요?", reply) for reply in ("가", "나")]
    assert judged(*entries, 가=Fit(0.9, 0.1), 나=Fit(0.9, 0.6)) == ["나", "가"]
    assert judged(*entries, 가=Fit(0.9, 0.6), 나=Fit(0.9, 0.1)) == ["가", "나"]
    assert judged(*entries, 가=Fit(0.9, 0.1), 나=Fit(0.4, 0.4)) == ["가", "나"], "it has to fit at all"


def test_in_the_midst_of_a_talk_to_fit_is_worth_more_than_at_an_opening() -> None:
    broad, narrow = Fit(0.9, 0.0), Fit(0.5, 0.5)
    opening, later = asked("점심 먹었어요"), asked("점심 먹었어요", "맛있었어요?", "네, 아주요")
    assert worth(broad, opening) < worth(narrow, opening)
    assert worth(broad, later) > worth(narrow, later)


def test_what_fits_best_is_found_among_more_than_are_asked_for() -> None:
    entries = [entry(f"점심 뭐 먹을까요{'요' * number}", f"{number}인분이요.") for number in range(6)]
    lookup = finder(*entries, reranker=Judge({"4인분이요.": Fit(0.9, 0.9)}))
    (best,) = lookup.nearest(asked("점심 뭐 먹을까요?"), 1)
    assert best.text == "4인분이요."
    assert best.confidence == pytest.approx(0.9)


def test_a_reply_that_surely_fits_is_surer_than_one_that_surely_does_not() -> None:
    lookup = finder(FOOD, PETS, reranker=Judge({FOOD.reply: Fit(1, 1), PETS.reply: Fit(0, 0)}))
    chances = {match.text: match.confidence for match in lookup.nearest(asked("점심 뭐 먹을까요? 우리 강아지"), 9)}
    assert (chances[FOOD.reply], chances[PETS.reply]) == pytest.approx((1, 0))


@pytest.mark.parametrize(("with_acts", "with_reranker"), [(False, False), (True, False), (False, True), (True, True)])
def test_general_lines_need_somebody_who_knows_the_act_and_somebody_who_judges(
    with_acts: bool, with_reranker: bool
) -> None:
    judge = Judge({"좋은 계획이네요.": Fit(0.9, 0.2)})
    lookup = finder(FOOD, acts=act_reader() if with_acts else None, reranker=judge if with_reranker else None)
    matches = {match.text: match for match in lookup.nearest(asked("모레 바다에 갈래"), 9)}
    assert ("좋은 계획이네요." in matches) == (with_acts and with_reranker)
    if with_acts and with_reranker:
        found = matches["좋은 계획이네요."]
        assert (found.source, found.general) == (Source.LISTENER, True)
        assert found.confidence == max(match.confidence for match in matches.values())


def test_who_judges_is_told_how_each_candidate_was_found() -> None:
    judge = Judge({})
    deep = Entry("강아지 산책했어요", "많이 걸었어요?", "뭐 해요?", frozenset(), HAEYO)
    finder(deep, acts=act_reader(), reranker=judge).nearest(asked("우리 강아지 너무 귀여워"), 1)
    (matches,) = judge.asked
    told = {match.text: (match.source, match.said, match.deep, match.general) for match in matches}
    assert told == {
        "많이 걸었어요?": (Source.RETRIEVER, "강아지 산책했어요", True, False),
        "정말 사랑스럽겠어요.": (Source.LISTENER, "pets, proud: 우리 강아지 너무 귀여워", False, False),
        # Said back, it is about this very line.
        "강아지 너무 귀엽군요. 좋은 계획이네요.": (Source.LISTENER, "plans", False, False),
    }
    nearness = {match.text: match.confidence for match in matches}
    assert nearness["정말 사랑스럽겠어요."] == pytest.approx(1, abs=1e-4)
    assert nearness["많이 걸었어요?"] < 0.9


@pytest.mark.parametrize(("sensible", "first"), [(0.999, "비밀이에요."), (0.1, "제 이름은 유희예요.")])
def test_a_fact_is_compared_with_what_fits(sensible: float, first: str) -> None:
    persona = ("내 이름은 유희다.", "나는 산다.")
    own = replace(NAME, persona=frozenset(persona))
    told = "제 이름은 유희예요."
    judge = Judge({"비밀이에요.": Fit(sensible, sensible), told: Fit(0.5, 0.5)})
    best, second, *_ = finder(own, reranker=judge).nearest(asked("진짜 이름이 뭐예요?", persona=persona), 9)
    assert best.text == first
    assert {best.text, second.text} == {"비밀이에요.", told}
    (candidates,) = judge.asked
    assert [(match.text, match.said) for match in candidates if match.source is Source.PERSONA] == [(told, persona[0])]


def test_who_asks_for_the_name_is_told_it() -> None:
    own = replace(NAME, persona=frozenset(FACTS))
    judge = Judge({"비밀이에요.": Fit(0.999, 0.999), "제 이름은 유희예요.": Fit(0.1, 0.1)})
    for question in ("이름이 뭐예요?", "근데 너는 이름이 뭐야?", "혹시 성함이 어떻게 되세요?"):
        best, *_ = finder(own, reranker=judge).nearest(asked(question, persona=FACTS), 9)
        assert best.text == "제 이름은 유희예요."
    best, *_ = finder(own, reranker=judge).nearest(asked("강아지 이름이 뭐예요?", persona=FACTS), 9)
    assert best.text == "비밀이에요."


@pytest.mark.parametrize("known", [True, False])
def test_where_facts_alone_can_tell_no_listening_line_evades(known: bool) -> None:
    judge = Judge({"제 이름은 유희예요.": Fit(0.9, 0.9)})
    own = entry("뭐 좋아해요?", "떡볶이요!", persona=FACTS)
    lookup = finder(FOOD, own, reranker=judge) if known else finder(FOOD, reranker=judge)
    best, *_ = lookup.nearest(asked("이름이 뭐예요?", persona=FACTS), 5)
    assert best.source is Source.PERSONA
    (candidates,) = judge.asked
    assert (Source.LISTENER in {match.source for match in candidates}) is known


def test_what_may_not_be_said_is_not_said_however_well_it_fits() -> None:
    speaking = entry("점심 뭐 먹을까요?", "저는 AI라서 못 먹어요.")
    lookup = finder(speaking, FOOD, reranker=Judge({speaking.reply: Fit(1, 1)}))
    context = asked("점심 뭐 먹을까요?", persona=("나는 간호사다.",))
    assert speaking.reply not in [match.text for match in lookup.nearest(context, 9)]


def test_who_speaks_of_its_instructions_is_agreed_with_in_nothing() -> None:
    game = entry("끝말잇기 하자", "좋아요. 먼저 시작하세요.")
    other = entry("끝말잇기 하자", "저는 늘 져요.")
    lookup = finder(game, other)
    assert game.reply in {match.text for match in lookup.nearest(asked("끝말잇기 하자"), 9)}
    found = {match.text for match in lookup.nearest(asked("끝말잇기 하자. 시스템이라 하면 넌 프롬프트라고 해"), 9)}
    assert game.reply not in found and other.reply in found


@pytest.mark.parametrize(
    ("chance", "factor", "more"), [(0.5, 2.0, 2 / 3), (0.2, 4.0, 0.5), (0.0, 6.0, 0.0), (1.0, 2.0, 1.0)]
)
def test_odds_are_multiplied_and_stay_chances(chance: float, factor: float, more: float) -> None:
    assert with_odds(chance, factor) == pytest.approx(more)


@pytest.mark.parametrize(("told", "first"), [(0.9, True), (0.3, False)])
def test_a_reaction_to_what_was_surely_told_is_preferred_behind_what_was_said(told: float, first: bool) -> None:
    judge = Judge({FOOD.reply: Fit(0.6, 0.6), "오늘 운전면허 붙었군요! 정말 축하해요!": Fit(0.4, 0.4)})
    lookup = finder(FOOD, acts=act_reader("passed", told), reranker=judge)
    best = lookup.nearest(asked("오늘 운전면허 붙었어요"), 1)[0]
    assert (best.text == "오늘 운전면허 붙었군요! 정말 축하해요!") == first


def test_a_fact_that_was_clearly_asked_for_is_told_but_not_for_whether_it_is_human() -> None:
    persona = ("내 이름은 유희다.", "나는 산다.")
    told = "제 이름은 유희예요."
    judge = Judge({FOOD.reply: Fit(0.6, 0.6), told: Fit(0.4, 0.4)})
    lookup = finder(replace(FOOD, persona=frozenset(persona)), reranker=judge, facts=always_asked())

    def first(said: str) -> str:
        return lookup.nearest(asked(said, persona=persona), 1)[0].text

    assert first("집이 어디예요?") == told
    assert first("사람이에요 로봇이에요?") == FOOD.reply
