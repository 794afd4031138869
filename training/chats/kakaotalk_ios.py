"""KakaoTalk on iOS, Korean and English, with a clock of 12 or of 24 hours.

`2015. 7. 9. 오후 8:34, 하나 : 안녕`, `2023. 5. 10. 09:23, 하나 : 안녕`, `Jul 9, 2015, 8:34 PM, 하나 : 안녕`; the
messenger's notes follow a colon after the time; a day begins with `2015년 7월 9일 목요일` or `Thursday, July 9, 2015`.
"""

from __future__ import annotations

import re

from training.chats.kakaotalk import (
    DOTTED_DATE,
    EN_CLOCK,
    EN_DATE,
    EN_WEEKDAY,
    KO_CLOCK,
    KO_DATE,
    KO_WEEKDAY,
    SAID,
    Layout,
)

_TIMES = (rf"{DOTTED_DATE} {KO_CLOCK}", rf"{EN_DATE}, {EN_CLOCK}")

IOS = Layout(
    source="kakaotalk-ios",
    messages=tuple(re.compile(rf"{time}, {SAID}") for time in _TIMES),
    notes=tuple(re.compile(rf"{time}: .+") for time in _TIMES),
    separators=(re.compile(rf"{KO_DATE} {KO_WEEKDAY}"), re.compile(rf"{EN_WEEKDAY}, {EN_DATE}")),
    begin=re.compile(r"\d{4}\. \d.*|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* \d{1,2}(?:, .*)?"),
)
