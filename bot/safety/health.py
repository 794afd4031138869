"""Lines about health, which are left out of all that is learnt from (PIPA Art. 23). A word list."""

from __future__ import annotations

import re

# Illness, treatment and the body's state. Wide on purpose: a lost line costs nothing. Aches and moods
# without a name ("머리 아파", "우울해") are small talk and stay.
_HEALTH = re.compile(
    r"병원|응급실|약국|진료|진단|처방|복용|입원|퇴원|수술|치료|투병|환자|검사 ?결과|건강 ?검진|확진"
    r"|알약|감기약|두통약|진통제|해열제|항생제|수면제|안정제|소염제|피임|백신|주사 ?맞|링거"
    r"|(?<![가-힣])약(?:을|은|도)? ?(?:먹|바르|발라|타러|끊)|[가-힣]약 ?(?:먹|복용)"
    r"|우울증|조울|공황|불면증|강박증|조현|자폐|치매|정신과|신경과|심리 ?상담|트라우마|거식증|폭식증|섭식|adhd"
    r"|당뇨|혈압|혈당|콜레스테롤|고지혈|빈혈|갑상선|부정맥|심근|협심증|뇌졸중|뇌출혈|중풍|백혈병|종양|항암|투석"
    r"|(?<![가-힣])암(?:에|이|으로|이래)(?![가-힣]{3})"
    r"|(?:위|간|폐|대장|유방|췌장|자궁|전립선|난소|피부|혈액|식도|담낭|방광|신장|구강)암"
    r"|(?:위|장|간|폐|비|방광|관절|피부|결막|편도선?|중이|기관지|췌장|신우신|족저근막|구내)염"
    r"|결핵|천식|아토피|알레르기|알러지|(?:허리|목) ?디스크|골절|깁스|통풍|대상포진|맹장|식중독"
    r"|독감|코로나 ?(?:걸|확|양)|감기 ?(?:에 ?)?(?:걸|들|기운|몸살)|몸살|탈모|(?<![가-힣])치질|장애 ?(?:등급|판정)"
    r"|임신|유산(?:했|됐|을 ?했)|낙태|난임|불임|생리(?:통|대|중| ?때문| ?불순)|폐경|갱년기|성병|에이즈"
)


def is_health(text: str) -> bool:
    """Whether a line tells of an illness, a treatment or the like, of anybody."""
    return _HEALTH.search(text.lower()) is not None
