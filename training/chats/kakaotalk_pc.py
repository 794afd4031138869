"""KakaoTalk on Windows, Korean and English: `[하나] [오전 1:01] 안녕` or `[하나] [2:37 PM] hi`.

The day stands on a line of its own between dashes; the messenger's notes have no time.
"""

from __future__ import annotations

import re

from training.chats.kakaotalk import EN_CLOCK, EN_DATE, EN_WEEKDAY, KO_CLOCK, KO_DATE, KO_WEEKDAY, Layout

_DAYS = (rf"{KO_DATE} {KO_WEEKDAY}", rf"{EN_WEEKDAY}, {EN_DATE}")

PC = Layout(
    source="kakaotalk-pc",
    messages=tuple(re.compile(rf"\[(?P<sender>.+?)\] \[{clock}\](?: (?P<text>.*))?") for clock in (KO_CLOCK, EN_CLOCK)),
    notes=(),
    separators=tuple(re.compile(rf"-{{5,}} {day} -{{5,}}") for day in _DAYS),
    begin=re.compile(r"\[[^\]]*(?:\](?: (?:\[[^\]]*)?)?)?|-{5,}.*"),
    bare_notes=True,
    own_names=frozenset(),
)
