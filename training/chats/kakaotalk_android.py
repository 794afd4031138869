"""KakaoTalk on Android, Korean and English, as of 2015 and 2020.

`2016년 2월 5일 오전 1:33, 회원님 : 안녕`, `February 10, 2016, 2:33 AM, you : 안녕`,
`8:34pm, July 9, 2015, 하나 : 안녕`;
the messenger's notes have no name; the time stands alone on a line before each burst.
"""

from __future__ import annotations

import re

from training.chats.kakaotalk import EN_CLOCK, EN_DATE, EN_WEEKDAY, KO_CLOCK, KO_DATE, KO_WEEKDAY, SAID, Layout

_TIMES = (rf"{KO_DATE} {KO_CLOCK}", rf"{EN_DATE}, {EN_CLOCK}", rf"{EN_CLOCK}, {EN_DATE}")
_DAYS = (rf"{KO_DATE} {KO_WEEKDAY}", rf"{EN_WEEKDAY}, {EN_DATE}")

ANDROID = Layout(
    source="kakaotalk-android",
    messages=tuple(re.compile(rf"{time}, {SAID}") for time in _TIMES),
    notes=tuple(re.compile(rf"{time}, .+") for time in _TIMES),
    separators=tuple(re.compile(line) for line in (*_TIMES, *_DAYS)),
    begin=re.compile(
        r"\d{4}년 \d.*|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* \d{1,2}(?:, .*)?|\d{1,2}:\d{2}[ap]m.*"
    ),
)
