from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.dialogue import DialogueContext, SpeechLevel
from model.line_vectors import LineVectors
from model.listener import ALWAYS, ASKED, CHOICE, GENERAL, REACTION, Heard, Listener, ListeningClass, load_listening
from tests.model.builders import user_last
from tests.model.embedders import BigramEmbedder, FixedEmbedder, no_lines

HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL
PETS = ListeningClass(
    "pets",
    "proud",
    ("우리 강아지 너무 귀여워", "우리 고양이 진짜 귀여워", "강아지 사진 볼래?", "고양이가 애교를 부려"),
    {HAEYO: ("정말 사랑스럽겠어요.", "자랑할 만하네요."), BANMAL: ("진짜 귀엽겠다.", "자랑할 만하네.")},
)
WORK = ListeningClass(
    "work",
    "tired",
    ("회사에서 너무 힘들었어", "오늘도 야근했어", "상사가 나만 혼냈어"),
    {HAEYO: ("오늘도 고생 많으셨어요.",), BANMAL: ("오늘도 고생했어.",)},
)

PLANS = ListeningClass(
    GENERAL,
    "plans",
    ("내일 산에 가려고", "주말에 청소할 거야", "이따 운동할 거야"),
    {HAEYO: ("잘 다녀오세요.", "좋은 계획이네요."), BANMAL: ("좋은 계획이네.",)},
)
REGRETS = ListeningClass(GENERAL, "regrets", ("괜히 그랬나 봐", "하지 말 걸 그랬어"), {HAEYO: ("그럴 때가 있죠.",)})


def asked(*texts: str, level: SpeechLevel | None = HAEYO, avoid: tuple[str, ...] = ()) -> DialogueContext:
    return DialogueContext((), user_last(*texts), level, avoid)


def listener(*classes: ListeningClass, vectors: LineVectors | None = None) -> Listener:
    return Listener(classes, vectors or no_lines())


def replies(classes: Sequence[ListeningClass], context: DialogueContext, count: int = 5) -> list[str]:
    return [heard.reply for heard in listener(*classes).heard(context, count)]


def test_the_class_whose_examples_are_near_comes_first() -> None:
    first, second = listener(PETS, WORK).heard(asked("회사에서 진짜 힘들었어"), 2)
    assert (first.name, second.name) == ("work/tired", "pets/proud")
    assert first.nearness > second.nearness + 0.1
    first, second = listener(PETS, WORK).heard(asked("우리 강아지 진짜 귀여워"), 2)
    assert first.name == "pets/proud"
    assert first.nearness > second.nearness


def test_no_more_classes_than_asked_for() -> None:
    assert len(listener(PETS, WORK).heard(asked("강아지"), 1)) == 1
    assert len(listener(PETS, WORK).heard(asked("강아지"), 9)) == 2


@pytest.mark.parametrize("level", list(SpeechLevel))
def test_the_reply_is_in_the_speech_level_asked_for(level: SpeechLevel) -> None:
    (heard,) = listener(PETS).heard(asked("우리 강아지 귀여워", level=level), 1)
    assert heard.reply in PETS.replies[level]


def test_where_no_level_is_known_the_bot_is_polite() -> None:
    (heard,) = listener(PETS).heard(asked("우리 강아지 귀여워", level=None), 1)
    assert heard.reply in PETS.replies[HAEYO]


def test_a_class_without_replies_in_the_level_is_passed_over() -> None:
    only_casual = ListeningClass("work", "tired", WORK.said, {BANMAL: ("고생했어.",)})
    heard = listener(only_casual, PETS).heard(asked("회사에서 너무 힘들었어"), 1)
    assert [each.name for each in heard] == ["pets/proud"]


@pytest.mark.parametrize("how_said", ["정말 사랑스럽겠어요.", "정말 사랑스럽겠어요!! ㅎㅎ", "정말 사랑 스럽겠어요"])
def test_no_reply_is_given_twice(how_said: str) -> None:
    context = asked("우리 강아지 귀여워", how_said, "우리 고양이도 귀여워")
    assert replies([PETS], context) == ["자랑할 만하네요."]
    both = asked("강아지 귀여워", how_said, "고양이도 귀여워", "자랑할 만하네요", "강아지 사진 볼래?")
    assert replies([PETS], both) == []


def test_what_is_to_be_avoided_counts_as_said_and_what_the_user_said_does_not() -> None:
    assert replies([PETS], asked("강아지 귀여워", avoid=("자랑할 만하네요",))) == ["정말 사랑스럽겠어요."]
    said = asked("오늘도 고생 많으셨어요.", "고마워요.", "오늘도 야근했어")
    assert replies([WORK], said) == ["오늘도 고생 많으셨어요."]


def test_the_reply_depends_on_the_talk_and_on_nothing_else() -> None:
    lines = [f"우리 강아지 귀여워 {number}" for number in range(20)]
    given = [replies([PETS], asked(line)) for line in lines]
    assert given == [replies([PETS], asked(line)) for line in lines]
    assert {reply for (reply,) in given} == set(PETS.replies[HAEYO])


def test_a_single_odd_example_decides_nothing() -> None:
    vectors = no_lines(FixedEmbedder({"said": (1, 0), "near": (0.9, 0.43589), "far": (0, 1), "middle": (0.6, 0.8)}))
    odd = ListeningClass("odd", "tell", ("near", "far", "far"), {HAEYO: ("가",)})
    even = ListeningClass("even", "tell", ("middle", "middle", "middle"), {HAEYO: ("나",)})
    first, second = listener(odd, even, vectors=vectors).heard(asked("said"), 2)
    assert (first.name, second.name) == ("even/tell", "odd/tell")
    assert (first.nearness, second.nearness) == pytest.approx((0.6, 0.3), abs=1e-4)


def test_examples_behind_the_three_nearest_do_not_count() -> None:
    vectors = no_lines(FixedEmbedder({"said": (1, 0), "near": (0.8, 0.6), "far": (0, 1)}))
    wide = ListeningClass("wide", "tell", ("near", "far", "near", "far", "near", "far"), {HAEYO: ("가",)})
    small = ListeningClass("small", "tell", ("near", "near"), {HAEYO: ("나",)})
    assert [each.nearness for each in listener(wide, small, vectors=vectors).heard(asked("said"), 2)] == pytest.approx(
        [0.8, 0.8], abs=1e-4
    )


def test_a_class_is_told_with_its_nearest_example() -> None:
    vectors = no_lines(FixedEmbedder({"said": (1, 0), "near": (0.8, 0.6), "nearest": (0.96, 0.28), "far": (0, 1)}))
    other = ListeningClass("other", "tell", ("far", "far", "near"), {HAEYO: ("나",)})
    each = ListeningClass("own", "tell", ("far", "near", "nearest"), {HAEYO: ("가",)})
    first, second = listener(other, each, vectors=vectors).heard(asked("said"), 2)
    assert (first.reply, first.said) == ("가", "own, tell: nearest")
    assert (second.reply, second.said) == ("나", "other, tell: near")


@pytest.mark.parametrize("said", ["", "   ", "ㅋㅋㅋ", "...", "😀"])
def test_where_no_word_is_said_nothing_is_heard(said: str) -> None:
    assert listener(PETS, WORK).heard(asked(said), 2) == []
    assert listener(PLANS).in_general(asked(said), {"plans": 0.5}) == []


def in_general(context: DialogueContext, *acts: str) -> list[str]:
    return [heard.reply for heard in listener(PETS, PLANS, REGRETS).in_general(context, dict.fromkeys(acts, 0.5))]


def test_each_act_has_its_general_line_in_the_order_asked_for() -> None:
    context = asked("내일 산에 갈래")
    (plan,), (regret,) = in_general(context, "plans"), in_general(context, "regrets")
    assert plan in PLANS.replies[HAEYO]
    assert regret == "그럴 때가 있죠."
    assert in_general(context, "regrets", "plans") == [regret, plan]
    assert in_general(context, "plans", "regrets") == [plan, regret]


def test_acts_without_a_general_class_or_a_reply_left_have_no_line() -> None:
    assert in_general(asked("우리 강아지 귀여워"), "proud", "unheard of") == []
    assert in_general(asked("우리 강아지 귀여워")) == []
    assert in_general(asked("내일 산에 갈래", level=BANMAL), "regrets", "plans") == ["좋은 계획이네."]
    again = asked("내일 산에 가요", "잘 다녀오세요!", "모레도 갈래요")
    assert in_general(again, "plans") == ["좋은 계획이네요."]
    both = asked("내일 산에 가요", "잘 다녀오세요!", "모레도 갈래요", avoid=("좋은 계획이네요",))
    assert in_general(both, "plans", "regrets") == ["그럴 때가 있죠."]


def test_a_general_line_tells_how_near_its_examples_are() -> None:
    vectors = no_lines(FixedEmbedder({"said": (1, 0), "near": (0.8, 0.6), "nearest": (0.96, 0.28), "far": (0, 1)}))
    wide = ListeningClass(GENERAL, "plans", ("far", "near", "nearest", "far", "near"), {HAEYO: ("가",)})
    (heard,) = listener(wide, vectors=vectors).in_general(asked("said"), {"plans": 0.5})
    assert heard == Heard(f"{GENERAL}/plans", "가", heard.nearness, "plans")
    assert heard.nearness == pytest.approx((0.96 + 0.8 + 0.8) / 3, abs=1e-4)


def test_what_fits_anything_is_always_heard_after_the_acts() -> None:
    anything = ListeningClass(ALWAYS, "go on", (), {HAEYO: ("더 들려주세요.",)})
    heard = listener(anything, PLANS, PETS).in_general(asked("내일 산에 갈래"), {"plans": 0.5})
    assert [each.name for each in heard] == [f"{GENERAL}/plans", f"{ALWAYS}/go on"]
    assert (heard[1].reply, heard[1].said, heard[1].nearness) == ("더 들려주세요.", "go on", 0)
    assert listener(anything).heard(asked("내일 산에 가려고"), 5) == []


def test_what_fits_anything_is_not_said_twice_in_a_row() -> None:
    anything = ListeningClass(ALWAYS, "go on", (), {HAEYO: ("더 들려주세요.", "계속해 주세요.", "그래서요?")})
    ears = listener(anything)
    talk = ["내일 산에 가려고", "더 들려주세요.", "구름이 많을지도"]
    assert ears.in_general(asked(*talk), {}) == []
    later = ears.in_general(asked(*talk, "그렇군요.", "비도 올지도"), {})
    assert [each.reply in ("계속해 주세요.", "그래서요?") for each in later] == [True]


def test_general_lines_begin_with_what_was_said_where_that_can_be_said_back() -> None:
    anything = ListeningClass(ALWAYS, "go on", (), {HAEYO: ("그랬군요. 더 들려주세요.",), BANMAL: ("그랬구나.",)})
    plan, more = listener(anything, PLANS).in_general(asked("드디어 설악산 다녀왔어요"), {"plans": 0.5})
    assert plan.said_back and plan.reply in {f"드디어 설악산 다녀왔군요. {reply}" for reply in PLANS.replies[HAEYO]}
    assert (more.reply, more.said_back) == ("드디어 설악산 다녀왔군요. 더 들려주세요.", True)
    plan, more = listener(anything, PLANS).in_general(asked("드디어 설악산 다녀왔어", level=BANMAL), {"plans": 0.5})
    assert (plan.reply, plan.said_back) == ("드디어 설악산 다녀왔구나. 좋은 계획이네.", True)
    assert (more.reply, more.said_back) == ("그랬구나.", False)


def test_not_every_turn_is_said_back() -> None:
    talk = ["드디어 설악산 다녀왔어요", "드디어 설악산 다녀왔군요. 어땠어요?", "내려오다가 다람쥐도 봤어요"]
    (plan,) = listener(PLANS).in_general(asked(*talk), {"plans": 0.5})
    assert not plan.said_back and plan.reply in PLANS.replies[HAEYO]
    later = asked(*talk, "귀여웠겠어요.", "도토리를 들고 있었어요")
    assert [each.said_back for each in listener(PLANS).in_general(later, {"plans": 0.5})] == [True]


def test_a_general_line_is_not_said_again_behind_other_words() -> None:
    said = "드디어 설악산 다녀왔군요. 잘 다녀오세요."
    (plan,) = listener(PLANS).in_general(asked("설악산 다녀왔어요", said, "모레 또 갈래요"), {"plans": 0.5})
    assert plan.reply == "좋은 계획이네요."
    anything = ListeningClass(ALWAYS, "go on", (), {HAEYO: ("계속해 주세요.", "더 들려주세요.")})
    tired = asked("다람쥐도 봤어요", "다람쥐도 봤군요. 더 들려주세요.", "진짜 작더라")
    assert listener(anything).in_general(tired, {}) == []


WHETHER = ListeningClass(
    ASKED, "할지 말지 물음", (), {HAEYO: ("저는 {} 쪽에 한 표요!", "마음이 가면 해 봐요."), BANMAL: ("난 {} 쪽!",)}
)
AGREE = ListeningClass(ASKED, "맞장구를 바라는 물음", (), {HAEYO: ("그럼요, 그럴 만해요.",)})


def test_questions_have_answers_of_their_form_first() -> None:
    anything = ListeningClass(ALWAYS, "go on", (), {HAEYO: ("더 들려주세요.",)})
    ears = listener(anything, AGREE, WHETHER, PETS)
    heard = ears.in_general(asked("제가 너무 좋아하는 거죠?"), {})
    assert [(each.reply, each.said) for each in heard] == [
        ("그럼요, 그럴 만해요.", "맞장구를 바라는 물음"),
        ("더 들려주세요.", "go on"),
    ]
    assert [each.reply for each in ears.in_general(asked("오늘은 집에 있을래요"), {})] == ["더 들려주세요."]
    # Ends like a question, and is none.
    (told,) = ears.in_general(asked("어제 산에 다녀왔죠"), {})
    assert told.reply == "어제 산에 다녀왔군요. 더 들려주세요."
    assert ears.heard(asked("제가 너무 좋아하는 거죠?"), 5)[0].name == "pets/proud"


def test_an_answer_takes_the_words_that_were_asked_about_and_another_goes_without() -> None:
    question = "국화차를 끓여볼까요?"
    with_words, plain = listener(WHETHER).in_general(asked(question), {})
    assert (with_words.reply, with_words.said_back) == ("저는 국화차를 끓여보는 쪽에 한 표요!", True)
    assert (plain.reply, plain.said_back) == ("마음이 가면 해 봐요.", False)
    assert with_words.said == plain.said == "할지 말지 물음"
    (casual,) = listener(WHETHER).in_general(asked(question, level=BANMAL), {})
    assert casual.reply == "난 국화차를 끓여보는 쪽!"
    again = asked(question, "저는 국화차를 끓여보는 쪽에 한 표요!", question)
    assert [each.reply for each in listener(WHETHER).in_general(again, {})] == ["마음이 가면 해 봐요."]


def test_asked_to_choose_it_chooses() -> None:
    *_, chosen = listener(WHETHER).in_general(asked("회색이랑 자주색 중에 뭐가 나을까요?"), {})
    assert chosen.name == CHOICE
    assert ("회색" in chosen.reply) != ("자주색" in chosen.reply)
    assert listener(WHETHER).in_general(asked("회색이 나을까요?"), {}) == []


def test_whether_it_is_human_is_nothing_to_choose() -> None:
    honest = ListeningClass(ASKED, "사람인지 물음", (), {HAEYO: ("사람은 아니고 AI예요.",)})
    heard = listener(honest).in_general(asked("사람이에요 로봇이에요?"), {})
    assert [each.reply for each in heard] == ["사람은 아니고 AI예요."]


def test_what_fits_in_general_is_not_heard_as_a_topic() -> None:
    heard = listener(PLANS, PETS).heard(asked("내일 산에 가려고"), 5)
    assert [each.name for each in heard] == ["pets/proud"]
    assert listener(PLANS).heard(asked("내일 산에 가려고"), 5) == []


def test_finer_classes_are_told_by_their_act_as_well_and_are_no_topics() -> None:
    passed = ListeningClass(REACTION, "passed an exam", (), {HAEYO: ("정말 축하해요!",)})
    ears = listener(passed, PLANS, PETS)
    assert (set(ears.acts), set(ears.reactions)) == ({"plans"}, {"passed an exam"})
    heard = ears.in_general(asked("오늘 운전면허 붙었어요"), {"passed an exam": 0.5})
    assert [(each.reply, each.chance) for each in heard] == [("오늘 운전면허 붙었군요! 정말 축하해요!", 0.5)]
    assert [each.chance for each in ears.in_general(asked("내일 산에 갈래"), {"plans": 0.5})] == [None]
    assert [each.name for each in ears.heard(asked("오늘 운전면허 붙었어요"), 9)] == ["pets/proud"]


def test_nothing_said_and_nothing_known_are_fine() -> None:
    assert listener(PETS).heard(DialogueContext(), 2) == []
    assert listener(PLANS).in_general(DialogueContext(), {"plans": 0.5}) == []
    assert listener().in_general(asked("내일 산에 가"), {"plans": 0.5}) == []
    assert listener().heard(asked("강아지 귀여워"), 2) == []


def test_only_the_newest_turn_is_embedded() -> None:
    embedder = BigramEmbedder()
    hears = Listener([PETS], no_lines(embedder))
    embedder.embedded.clear()
    hears.heard(asked("안녕", "반가워요", "강아지 귀여워"), 1)
    assert embedder.embedded == ["강아지 귀여워"]


def test_classes_are_read_file_by_file(tmp_path: Path) -> None:
    def record(topic: str) -> str:
        said, replied = [f"{topic} 얘기야"], {"해요체": ["그렇군요."], "반말": ["그렇구나."]}
        return json.dumps({"topic": topic, "act": "tell", "said": said, "replies": replied}, ensure_ascii=False)

    (tmp_path / "b.jsonl").write_text(record("일") + "\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(record("밥") + "\n" + record("잠") + "\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not json", encoding="utf-8")
    found = load_listening(tmp_path)
    assert [each.name for each in found] == ["밥/tell", "잠/tell", "일/tell"]
    assert found[0] == ListeningClass("밥", "tell", ("밥 얘기야",), {HAEYO: ("그렇군요.",), BANMAL: ("그렇구나.",)})


def test_without_a_folder_there_are_no_classes(tmp_path: Path) -> None:
    assert load_listening(tmp_path / "none") == []
