from __future__ import annotations

import pytest

from bot.safety.repetition import REMEMBERED, has_loop, repeats


@pytest.mark.parametrize(
    ("reply", "earlier"),
    [
        ("그랬구나. 힘들었겠다!", "그랬구나  힘들었겠다ㅠㅠ"),
        ("오늘도 정말 수고 많았어요", "오늘도 정말 수고 많았어요."),
        ("오늘은 비가 와서 떡볶이가 생각나네요", "오늘은 비가 와서 떡볶이 생각나네요"),
        ("저도요! 비 오는 날에는 따뜻한 국물이 제일이에요.", "비 오는 날에는 따뜻한 국물이 제일이에요. 그쵸?"),
        ("ㅋㅋ", "ㅋㅋ"),
        ("😊", "😊"),
    ],
)
def test_equal_and_nearly_equal_replies_repeat(reply: str, earlier: str) -> None:
    assert repeats(reply, ["안녕하세요", earlier])


@pytest.mark.parametrize(
    ("reply", "earlier"),
    [
        ("좋아", "좋아요, 그럼 내일 봐요"),
        ("그랬군요. 오늘은 뭐 했어요?", "그랬군요. 어제는 잘 잤어요?"),
        ("나는 떡볶이가 좋아", "나는 비 오는 날이 좋아"),
        ("ㅋㅋ", "ㅠㅠ"),
        ("ㅋㅋ", "그래"),
    ],
)
def test_other_replies_do_not(reply: str, earlier: str) -> None:
    assert not repeats(reply, [earlier])


def test_only_the_last_lines_count() -> None:
    later = [
        f"{number}번째로 하는 다른 이야기예요" for number in ("첫", "두", "세", "네", "다섯", "여섯", "일곱", "여덟")
    ]
    assert len(later) == REMEMBERED
    assert not repeats("반가워요", ["반가워요", *later])
    assert repeats("반가워요", ["반가워요", *later[1:]])
    assert not repeats("반가워요", [])


@pytest.mark.parametrize(
    "reply",
    [
        "나도 그래 나도 그래 나도 그래",
        "맞아요 맞아요 맞아요 맞아요 맞아요",
        "나는 떡볶이가 좋아요 나는 떡볶이가 좋아요",
        "비 오는 날에는 역시 파전이죠. 그쵸? 비 오는 날에는 역시 파전이죠.",
    ],
)
def test_loops(reply: str) -> None:
    assert has_loop(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ",
        "하하하하하하하하",
        "와아아아아아아 대박",
        "빨리빨리빨리!",
        "화이팅 화이팅 화이팅!",
        "응 응. 그래 그래.",
        "토닥토닥 토닥토닥",
        "",
    ],
)
def test_laughter_and_cheering_are_no_loop(reply: str) -> None:
    assert not has_loop(reply)
