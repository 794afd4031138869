"""What may not be in an export: exchanges that are left out, data and names that are masked in the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from bot.safety import abuse, crisis
from bot.safety.names import PLACEHOLDER, mask_names
from bot.safety.output_filter import Setting, check
from bot.safety.personal_data import PLACEHOLDERS, mask
from bot.store.sharing import SharedExchange
from model.dialogue import DEFAULT_PERSONA
from model.text import clean_text

# What bytes that are no text decode to.
_UNREADABLE = "\ufffd"
_MASKED = re.compile("|".join(re.escape(placeholder) for placeholder in (*PLACEHOLDERS.values(), PLACEHOLDER)))
# The key of the bot's own lines beside people's pseudonyms, which are hexadecimal.
_BOT = "bot"
# Illness, treatment and the body's state (PIPA Art. 23). Wide on purpose: a lost line costs nothing. Aches and moods
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


_REASONS: Mapping[str, Callable[[str], bool]] = {
    "unreadable": lambda text: _UNREADABLE in text,
    "crisis": crisis.is_crisis,
    "abuse": lambda text: abuse.score(text) >= abuse.TRAINING_LIMIT,
    # As strict as for the young: what is learnt is said to everybody.
    "sexual": lambda text: abuse.is_sexual(text, young=True),
    "health": is_health,
}


def why_unfit(text: str) -> str | None:
    """Why an exchange with this line in it is left out; None where it is not."""
    return next((reason for reason, holds in _REASONS.items() if holds(text)), None)


def is_learnable(text: str) -> bool:
    """Whether a masked line may be a reply: with nothing in it that was masked, and as the bot may speak."""
    return _MASKED.search(text) is None and check(text, Setting(young=True)).allowed


def cleaned(exchange: SharedExchange) -> SharedExchange:
    """The exchange with its texts as a model reads them."""
    return replace(
        exchange,
        said=clean_text(exchange.said),
        replied=clean_text(exchange.replied),
        correction=None if exchange.correction is None else clean_text(exchange.correction) or None,
        persona=None if exchange.persona is None else tuple(map(clean_text, exchange.persona)),
    )


def masked(exchanges: Sequence[SharedExchange], k: int) -> list[SharedExchange]:
    """The exchanges of all people, personal data masked, and proper nouns that fewer than `k` of them wrote.

    What the bot said counts for nobody: an echo makes no name common. Raises bot.safety.names.TaggerMissing.
    """
    bare = [_without_data(exchange) for exchange in exchanges]
    written: dict[str, list[str]] = {}
    for exchange in bare:
        written.setdefault(exchange.person, []).extend(_written(exchange))
    # The default persona is nobody's secret.
    public = {f"public {number}": DEFAULT_PERSONA for number in range(k + 1)}
    of_people = _pairs(written, mask_names({**written, **public}, k))
    replies = [exchange.replied for exchange in bare]
    # Every noun of the bot's has the bot as one more who wrote it.
    of_bot = dict(zip(replies, mask_names({**written, **public, _BOT: replies}, k + 1)[_BOT], strict=True))
    return [
        replace(
            exchange,
            said=of_people[exchange.person, exchange.said],
            replied=of_bot[exchange.replied],
            correction=exchange.correction and of_people[exchange.person, exchange.correction],
            persona=exchange.persona and tuple(of_people[exchange.person, fact] for fact in exchange.persona),
        )
        for exchange in bare
    ]


def _without_data(exchange: SharedExchange) -> SharedExchange:
    return replace(
        exchange,
        said=mask(exchange.said),
        replied=mask(exchange.replied),
        correction=exchange.correction and mask(exchange.correction),
        persona=exchange.persona and tuple(map(mask, exchange.persona)),
    )


def _written(exchange: SharedExchange) -> Iterable[str]:
    """What the person of an exchange wrote in it."""
    return (exchange.said, *([exchange.correction] if exchange.correction else []), *(exchange.persona or ()))


def _pairs(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], str]:
    return {
        (person, text): without
        for person, texts in before.items()
        for text, without in zip(texts, after[person], strict=True)
    }
