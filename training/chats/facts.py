"""Facts of one moment in a line, which a bot must not repeat: it has no three o'clock and no dinner at seven.

Rules over the words, applied to the importer's own lines only: those are what is learnt. They prefer to lose a line: a
lost one costs nothing. Personal data and names are found by bot/safety, not here.
"""

from __future__ import annotations

import re

from training.chats.messages import Reason

_COUNT = "(?:열한|열두|열|한|두|세|네|다섯|여섯|일곱|여덟|아홉)"
_WEEKDAY = "[월화수목금토일]요일"
_TIME = re.compile(
    # Clocks: 3시, 세 시 반, 15:30, 3pm.
    rf"(?<!\d)\d{{1,2}} ?시|(?<![가-힣]){_COUNT} ?시(?: ?반|쯤|까지|부터|에|에는|로|$|[\s,.!?~])"
    r"|(?<!\d)\d{1,2}:\d{2}(?!\d)|\b\d{1,2} ?[ap]\.?m\b"
    # Dates: 11월 3일, 11/3, 2026.11.03, 3일에, 17년도.
    r"|\d{1,2} ?월|(?<![\d/])\d{1,2}/\d{1,2}(?![\d/])|\d{2,4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2} ?일(?!\d)|\d{2,4} ?년"
    # Spans from now: 30분 뒤, 2시간 남았어, 5분만, 사흘 전에.
    r"|\d+ ?(?:초|분|시간|주|주일|달|개월)|(?:한|두|세|네|다섯) ?시간|반 ?시간|사흘|나흘|열흘|보름"
    rf"|(?:이번|다음|다다음|저번|지난) ?(?:주|달|{_WEEKDAY})",
    re.IGNORECASE,
)
_STAND = (
    "(?:집|회사|학교|사무실|카페|병원|도서관|학원|독서실|지하철|버스|택시|기차|공항|마트|편의점|식당|역|정류장|호텔"
    "|숙소|본가|시골)"
)
_PLACE = re.compile(
    # Stations, exits, floors, rooms, streets: 강남역, 3번 출구, 2층, 301호, 역 앞.
    r"(?<![가-힣])(?!지역|영역|구역|무역|면역|통역|번역|광역|현역|배역|주역|단역|반역|방역|권역|전역|제역|고역|내역|이력)[가-힣]{1,6}역"
    r"(?=(?:에서|에|으로|로|앞|뒤|까지|도착|근처|이야|이에요|임|쪽)|[\s,.!?~]|$)"
    r"|\d+ ?(?:번 ?출구|층|호선|호실|번지|동|호)|출구"
    r"|(?<![가-힣])[가-힣]{2,5}(?:사거리|삼거리|터미널|공원|백화점|시장)(?:에서|에|앞|으로|로|[\s,.!?~]|$)"
    r"|(?<![가-힣])[가-힣]{1,6}(?:대로|로|길) ?\d+"
    # Where somebody is right now: 지금 회사야, 집에 있어, 카페에서 기다려.
    rf"|(?:지금|아직|방금|이제) ?(?:난|나|나는|저는|전)? ?{_STAND}"
    rf"|(?<![가-힣]){_STAND} ?(?:이야|야|이에요|예요|임|인데|이요)(?![가-힣])"
    rf"|(?<![가-힣]){_STAND} ?(?:앞|근처|옆|뒤)(?:에|이|으로|$|[\s,.!?~])"
    rf"|(?<![가-힣]){_STAND}에(?:서)? ?(?:있|왔|도착|기다|내[려렸릴]|보|봐|만나)"
)
_DAY = (
    rf"(?:오늘|내일|모레|글피|주말|평일|{_WEEKDAY}|아침|점심|저녁|오전|오후|이따가?|있다가|나중에|그때|그날|담주|담달)"
)
_MEET = (
    r"(?:보자|봐요?(?=[\s,.!?~ㅋㅎ]|$)|볼까|봅시다|뵈어요|뵐게|봬요|만나|만날|갈게|갈께|갈까|가자|올게|올래|올께|나갈게|데리러"
    r"|오면 돼|와줘|와 줘"
    r"|먹자|마시자|하자|전화할게|연락할게|연락할께|보낼게|전화해|시간 ?(?:돼|되|있|어때|괜찮))"
)
_APPOINTMENT = re.compile(
    rf"{_DAY}[^.!?\n]{{0,12}}{_MEET}|{_MEET}[^.!?\n]{{0,8}}{_DAY}|만나자|만날까|만나기로|보기로|가기로|약속|예약|회의|미팅|면접"
    r"|도착|출발|(?:가|오|나가|들어가)는 ?중|(?:다|거의) ?(?:와|왔|도착)"
    r"|(?:나|저) ?늦(?:을|어|겠)|어디(?:쯤|야|예요|세요|서 볼|서 만)|기다리고 ?있"
)
_UNIT = "(?:원|만 ?원|천 ?원|달러|불|엔|명|인분|개|권|장|번|살|점|등|배|%|퍼센트|킬로|키로|kg|km|cm|g|도)"
_AMOUNT = re.compile(
    rf"\d[\d,.]* ?(?:천|만|백|억)? ?{_UNIT}|\d[\d,]*\d{{2}}"
    r"|(?<![가-힣])(?:[일이삼사오육칠팔구십백천만]{2,}|[만천]) ?원",
    re.IGNORECASE,
)

_RULES = (
    (Reason.TIME, _TIME),
    (Reason.PLACE, _PLACE),
    (Reason.APPOINTMENT, _APPOINTMENT),
    (Reason.AMOUNT, _AMOUNT),
)


def unrepeatable(text: str) -> Reason | None:
    """Why a line must not be learnt as a reply: the first of time, place, appointment and amount that it holds."""
    return next((reason for reason, pattern in _RULES if pattern.search(text)), None)
