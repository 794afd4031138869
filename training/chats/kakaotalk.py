"""What KakaoTalk's text exports share: a title, one line for each message, more lines where a message has them.

A layout (kakaotalk_android.py, kakaotalk_ios.py, kakaotalk_pc.py) says how its lines look. A line that is none of them
goes on with the message before it, blank lines included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from training.chats.messages import Chat, Message, Reason, make_chat, tidy_name
from training.errors import BadData

# What the one who exports is called in their own file, on phones.
OWN_NAMES = frozenset({"회원님", "you", "You"})

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(?P<month>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*)"
_BLANK = r"[ \u00a0\u202f]?"
# Pieces that the patterns of the layouts are made of. Clocks of 12 and of 24 hours.
KO_CLOCK = rf"(?:(?P<half>오전|오후){_BLANK})?(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})"
EN_CLOCK = rf"(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})(?:{_BLANK}(?P<half>[AaPp][Mm]))?"
KO_DATE = r"(?P<year>\d{4})년 (?P<month>\d{1,2})월 (?P<day>\d{1,2})일"
DOTTED_DATE = r"(?P<year>\d{4})\. (?P<month>\d{1,2})\. (?P<day>\d{1,2})\."
EN_DATE = rf"{_MONTH} (?P<day>\d{{1,2}}), (?P<year>\d{{4}})"
KO_WEEKDAY = "[월화수목금토일]요일"
EN_WEEKDAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
SAID = r"(?P<sender>.+?) :(?: (?P<text>.*))?"

_TITLE = re.compile(
    r"(?P<ko>.+?) ?(?:\d+ )?님과 카카오톡 대화|KakaoTalk Chats with (?P<en>.+)|(?P<pc>.+) with KakaoTalk Chats"
)
_STICKER = re.compile(r"[(<]?(?:이모티콘|emoticons?|stickers?)[)>]?", re.IGNORECASE)
_MEDIA = re.compile(
    r"[(<]?(?:사진(?: ?\d+ ?장)?|동영상|음성 ?메시지|연락처|지도|photos?(?: ?\d+)?|\d+ photos"
    r"|videos?|voice (?:message|note)s?"
    r"|contacts?|location)[)>]?"
    r"|[<(]?(?:파일|file) ?: .+|지도: .+|샵검색: .+|(?:보이스톡|페이스톡|그룹콜|라이브톡)(?: .{0,12})?"
    r"|(?:voice|video) call.{0,20}",
    re.IGNORECASE,
)
_DELETED = re.compile(
    r"삭제된 메시지입니다\.?|메시지가 삭제되었습니다\.?|this message (?:was|has been) deleted\.?", re.IGNORECASE
)
# Where the messenger's notes have no time before them, only their words tell them from a second line of a message.
NOTE = re.compile(
    r".+님이 (?:.+님을 초대(?:했습니다|하였습니다)|나갔습니다|들어왔습니다)\.(?: ?채팅방으로 초대하기)?"
    r"|.+ invited .+\.|.+ (?:has )?(?:left|joined)(?: (?:the|this) (?:chat|chatroom|group chat))?\."
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of one kind of export look; all patterns match whole lines.

    `messages` have the groups sender, text and a clock; `notes` a clock; days come from groups of either or from
    `separators`, the lines that begin a day or a burst. `bare_notes`: notes may have no time. `begin` is what the rest
    of a cut line looks like.
    """

    source: str
    messages: tuple[re.Pattern[str], ...]
    notes: tuple[re.Pattern[str], ...]
    separators: tuple[re.Pattern[str], ...]
    begin: re.Pattern[str]
    bare_notes: bool = False
    own_names: frozenset[str] = OWN_NAMES


def fits(layout: Layout, lines: Sequence[str]) -> int:
    """How many lines look like the layout's; 0 when none of them is a message."""
    if not any(_first(layout.messages, line) for line in lines):
        return 0
    known = (*layout.messages, *layout.notes, *layout.separators)
    return sum(_first(known, line) is not None for line in lines)


def parse_lines(layout: Layout, lines: Sequence[str], whole: bool, path: Path) -> Chat:
    """The chat in `lines`; `whole` tells that the last one has its line end.

    Raises BadData when the last line is cut in what stands before its text. Cut in the text, it cannot be told from one
    that is not, so that the last message is then marked as of no use.
    """
    if not whole and layout.begin.fullmatch(lines[-1]) and not _known(layout, lines[-1]):
        raise BadData(f"{path}: the file ends in the middle of a line: it is cut; export the chat again.")
    messages = list(_messages(layout, lines))
    if messages and not whole:
        messages[-1] = replace(messages[-1], dropped=messages[-1].dropped or Reason.CUT)
    return make_chat(_title(lines[0]), messages)


def classify(message: Message) -> Message:
    """The message with what its words show: placeholders of media, emoticons and deleted messages."""
    text = message.text
    if _STICKER.fullmatch(text):
        return replace(message, dropped=Reason.STICKER)
    if _MEDIA.fullmatch(text):
        return replace(message, dropped=Reason.MEDIA)
    return replace(message, dropped=Reason.DELETED) if _DELETED.fullmatch(text) else message


def _messages(layout: Layout, lines: Sequence[str]) -> Iterator[Message]:
    day: date | None = None
    latest: Message | None = None
    for line in lines:
        found = _read(layout, line, day)
        if isinstance(found, Message):
            if latest is not None:
                yield _finished(latest)
            latest, day = found, found.sent_at.date()
        elif found is not None:
            day = found
        elif latest is not None and latest.dropped is not Reason.SYSTEM:
            latest = replace(latest, text=f"{latest.text}\n{line}")
    if latest is not None:
        yield _finished(latest)


def _finished(message: Message) -> Message:
    """Blank lines at the end belong to the layout, not to the message."""
    return message if message.dropped else classify(replace(message, text=message.text.rstrip()))


def _read(layout: Layout, line: str, day: date | None) -> Message | date | None:
    """The message or note that begins on this line, the day that it opens, or None where it goes on."""
    if (match := _first(layout.messages, line)) and (time := _time(match, day)):
        return Message(tidy_name(match["sender"]), time, match["text"] or "")
    if (match := _first(layout.separators, line)) and (opened := _day(match, None)):
        return opened
    if (match := _first(layout.notes, line)) and (time := _time(match, day)):
        return Message(None, time, line, Reason.SYSTEM)
    if layout.bare_notes and day is not None and NOTE.fullmatch(line):
        return Message(None, datetime(day.year, day.month, day.day), line, Reason.SYSTEM)
    return None


def _known(layout: Layout, line: str) -> bool:
    return _first((*layout.messages, *layout.separators), line) is not None


def _first(patterns: Sequence[re.Pattern[str]], line: str) -> re.Match[str] | None:
    return next((match for pattern in patterns if (match := pattern.fullmatch(line))), None)


def _time(match: re.Match[str], day: date | None) -> datetime | None:
    """When the line was written; None when its numbers are no time, so that it is no such line."""
    parts = match.groupdict()
    opened = _day(match, day)
    hour, half = int(parts["hour"]), (parts["half"] or "").lower()
    if half:
        hour = hour % 12 + (12 if half in ("오후", "pm") else 0)
    if opened is None or hour > 23 or int(parts["minute"]) > 59:
        return None
    return datetime(opened.year, opened.month, opened.day, hour, int(parts["minute"]))


def _day(match: re.Match[str], day: date | None) -> date | None:
    parts = match.groupdict()
    if "year" not in parts:
        return day
    month = parts["month"]
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
    try:
        return date(int(parts["year"]), number, int(parts["day"]))
    except ValueError:
        return None


def _title(line: str) -> str:
    match = _TITLE.fullmatch(line.strip())
    return next((name for name in match.groups() if name), "") if match else ""
