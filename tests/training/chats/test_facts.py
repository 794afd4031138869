from __future__ import annotations

import pytest

from training.chats.facts import unrepeatable
from training.chats.messages import Reason

TIMES = [
    "3시에 끝나",
    "세 시 반쯤",
    "두시까지 할게",
    "15:30 어때",
    "7pm 좋아",
    "11월 3일이야",
    "11/3 어때",
    "생일은 25일",
    "2019년에 갔어",
    "30분 뒤에 깨워 줘",
    "한 시간 걸려",
    "다음 주는 바빠",
    "이번 금요일은 쉬어",
]
PLACES = [
    "강남역에서 내려",
    "2번 출구야",
    "우리 집 3층",
    "301호예요",
    "나 지금 회사",
    "아직 집이야",
    "학교 앞에 있어",
    "카페에서 기다릴게",
    "서울대로 12",
    "중앙공원에서 봤어",
]
APPOINTMENTS = [
    "내일 보자",
    "이따 저녁에 만나",
    "주말에 시간 돼?",
    "만나기로 했잖아",
    "약속 있어",
    "예약했어",
    "거의 다 왔어",
    "가는 중",
    "나 늦을 것 같아",
    "방금 출발",
    "너 어디야",
    "나중에 전화할게",
]
AMOUNTS = ["5000원 보냈어", "3만원이래", "만 원만 빌려줘", "열쇠 번호 4821", "세 명 말고 5명", "20%래", "2인분 시켰어"]
TALK = [
    "왜? 무슨 일 있었어?",
    "다시 해 보면 되지",
    "오늘 진짜 고생했어",
    "내일은 더 나을 거야",
    "월요일 너무 싫다",
    "역시 떡볶이가 최고야",
    "그 지역 음식 맛있지",
    "만약에 그러면 어떡해",
    "나도 집에 가고 싶다",
    "네 말이 맞아",
    "한번 해 봐",
    "열심히 했잖아 괜찮아",
    "아침은 먹었어?",
    "도움이 됐으면 좋겠다",
    "원래 다 그런 거지",
    "푹 쉬어",
    "일찍 자",
]


@pytest.mark.parametrize(
    ("line", "reason"),
    [(line, Reason.TIME) for line in TIMES]
    + [(line, Reason.PLACE) for line in PLACES]
    + [(line, Reason.APPOINTMENT) for line in APPOINTMENTS]
    + [(line, Reason.AMOUNT) for line in AMOUNTS]
    + [(line, None) for line in TALK],
)
def test_facts_of_a_moment(line: str, reason: Reason | None) -> None:
    assert unrepeatable(line) is reason
