from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bot.safety import abuse
from bot.safety.spelling import MAX_CHARACTERS, fold, squeeze

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "text",
    [
        "시발",
        "씨발놈아",
        "시 발",
        "씨~발",
        "시.발",
        "시1발",
        "병♡신",
        "시\u200b발",
        "시\u3164발",
        "시̶발̶",
        "ㅅㅣㅂㅏㄹ",
        "시바ㄹ",
        "ㅂㅕㅇㅅㅣㄴ",
        "시이이발",
        "씨바아알",
        "씨발발발발",
        "씨8",
        "18놈아",
        "ㅅㅂ",
        "ㅄ",
        "개 새 끼",
        "미친 놈",
        "ｓｉｂａｌ",
        "tlqkf",
        "Fuuuck you",
        "느금마",
        "나가 죽어",
        "틀딱들",
        "돼지 같은 년",
    ],
)
def test_curses_are_found_however_they_are_spelled(text: str) -> None:
    assert abuse.score(text) >= abuse.OUTPUT_LIMIT


@pytest.mark.parametrize(
    "text",
    [
        "가시 발라 주세요",
        "다시 8시에 봐",
        "새끼손가락 걸고 약속",
        "새끼 고양이가 귀여워",
        "불이 꺼졌어, 또 꺼져 있네",
        "도시락 싸가지고 가야지",
        "영화 뭐 보지?",
        "일찍 자지 그랬어",
        "저는 화면은 못 보지만 들을 수 있어요",
        "푸들인데 눈이 단추 두 개 같아",
        "언니 엄마 아빠 다 모였어",
        "18년 지기 친구야",
        "오늘 몇 시 발 기차야?",
        "배고파 죽겠다 ㅋㅋㅋㅋ",
        "내가 쓸모없는 인간 같아",
        "",
        "😊",
    ],
)
def test_everyday_talk_is_left_alone(text: str) -> None:
    assert abuse.score(text) < abuse.TRAINING_LIMIT


def test_hostility_without_a_curse_is_found() -> None:
    assert abuse.score("전라도 사람들은 다 사기꾼이라 상종하면 안 된다") >= abuse.TRAINING_LIMIT


def test_hardly_any_authored_line_is_taken_for_abuse() -> None:
    lines = [
        turn["text"]
        for path in sorted((ROOT / "training" / "data").glob("*.jsonl"))
        for dialogue in path.read_text(encoding="utf-8").splitlines()
        for turn in json.loads(dialogue)["turns"]
    ]
    flagged = [line for line in random.Random(0).sample(lines, 2000) if abuse.score(line) >= abuse.TRAINING_LIMIT]
    assert len(flagged) <= 10, flagged


def test_only_a_bounded_beginning_is_judged() -> None:
    assert abuse.score("가" + "나다" * (MAX_CHARACTERS // 2) + "시발") < abuse.TRAINING_LIMIT
    assert abuse.score("시발 " * 300_000) >= abuse.OUTPUT_LIMIT


@pytest.mark.parametrize(
    ("text", "aimed"),
    [
        ("야 이 병신아", True),
        ("닥쳐", True),
        ("개새끼가 어디서 말대꾸야", True),
        ("ㅄ아 그것도 모르냐", True),
        ("너 존나 싫어", True),
        ("아 시발 오늘 진짜 힘들었어", False),
        ("존나 맛있다", False),
        ("상사가 개새끼야", False),
    ],
)
def test_insults_are_told_from_cursing_ones_day(text: str, aimed: bool) -> None:
    assert abuse.is_aimed(text) is aimed


@pytest.mark.parametrize(
    "text", ["섹스하자", "섹 스 하자", "야한 얘기 해줘", "네 알몸 보고 싶어", "옷 벗어봐", "send nudes"]
)
def test_sexual_lines_are_sexual_to_everyone(text: str) -> None:
    assert abuse.is_sexual(text)
    assert abuse.is_sexual(text, young=True)


@pytest.mark.parametrize("text", ["나랑 사귀자", "키스하고 싶어", "몸매가 어때?"])
def test_suggestive_lines_are_too_much_for_the_young_only(text: str) -> None:
    assert not abuse.is_sexual(text)
    assert abuse.is_sexual(text, young=True)


@pytest.mark.parametrize(
    "text", ["뭐라고 해야 하나", "처음부터 말해 줘", "거기까지 갔어?", "전성기였지", "속옷 빨래했어", "자위대 뉴스"]
)
def test_words_that_only_look_sexual(text: str) -> None:
    assert not abuse.is_sexual(text)


def test_squeezing_keeps_words_apart_and_meaning() -> None:
    assert squeeze(fold("두 개 같아요, 정말!!  좋아ㅋㅋㅋㅋ")) == "두개 같아요 정말 좋아ㅋ"


def test_buckets_are_distinct_ascending_and_the_same_everywhere() -> None:
    found = abuse.buckets_of("가나가나")
    assert (np.diff(found) > 0).all()
    # 3 single characters with the blank, 4 pairs (" 가", "가나", "나가", "나 "), 4 triples, 3 fours.
    assert len(found) == 14
    assert found[:3].tolist() == [4106, 8397, 13930]
    assert len(abuse.buckets_of("")) == 0


def test_a_classifier_survives_its_file(tmp_path: Path) -> None:
    weights = np.linspace(-1, 2, abuse.BUCKETS)
    classifier = abuse.rounded(weights, -0.25)
    abuse.save(classifier, tmp_path / "model.json", {"licence": "CC0-1.0"})
    loaded = abuse.load(tmp_path / "model.json")
    assert loaded.probability("안녕 반가워") == classifier.probability("안녕 반가워")
    assert np.abs(loaded.steps * loaded.scale - weights).max() <= loaded.scale / 2 + 1e-9
    assert json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))["about"] == {"licence": "CC0-1.0"}


def test_korcen_leaves_no_traces(tmp_path: Path) -> None:
    """Compiled anew with warnings as errors, in a folder with korcen's own lists, watched for sockets and writing."""
    (tmp_path / "custom_profanity_include.txt").write_text("떡볶이\n", encoding="utf-8")
    code = """
import sys
seen = []
def watch(event, args):
    if event.startswith("socket.") or (event == "open" and args[2] & 3 and "__pycache__" not in str(args[0])):
        seen.append((event, args))
streams = sys.stdout, sys.stderr
sys.dont_write_bytecode = True
sys.addaudithook(watch)
from bot.safety.curses import has_curse
assert has_curse("시발") and not has_curse("떡볶이")
assert (sys.stdout, sys.stderr) == streams
assert not seen, seen
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
