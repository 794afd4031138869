"""What the people of the benchmarks say, where nobody reads it."""

from __future__ import annotations

import random

_WORDS = (
    *("우산", "기차", "포도", "안경", "달력", "모자", "바다", "의자", "연필", "구름", "버스", "수박", "시계", "창문"),
    *("호수", "자전거", "도서관", "라디오", "베개", "김밥", "운동화", "가로등", "선풍기", "편지", "장미", "고구마"),
    *("피아노", "냉장고", "우체통", "단풍", "목도리", "사과", "양말", "책상", "커튼", "빗자루", "주전자", "돋보기"),
)


def unlike(number: int) -> str:
    """A line for each number, all different, and so unlike each other that an echo of them is no repetition."""
    return f"{' '.join(random.Random(number).sample(_WORDS, 5))} {number}"
