"""How abusive a text is, and whether it is sexual.

Two judges with opposite gaps: the list of curses knows little else, a classifier over character n-grams knows
hostility without curses and is unsure. Neither blocks a person's message: what people write is a signal
(bot/safety/strikes.py). Politics, medicine and law are not judged here.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.safety.curses import has_curse
from bot.safety.spelling import fold, squeeze
from model.files import write_json

# What a curse scores: above every threshold below, under what the classifier gives when it is sure.
CURSE_SCORE = 0.9
# A person's message counts as abuse from here on. To wrong somebody hurts the talk more than to let a line pass.
INPUT_SIGNAL = 0.8
# A reply of ours is drawn again from here on. That is cheap, but a filter that is often wrong bends what the bot says.
OUTPUT_LIMIT = 0.8
# A line is not learnt from here on. A lost line costs nothing, a learnt one comes back.
TRAINING_LIMIT = 0.5

MODEL_FILE = Path(__file__).with_name("abuse_model.json")
# Hash buckets, one weight each. Twice as many changed no figure by more than .02 on the development lines.
BUCKETS = 1 << 16
_LENGTHS = (1, 2, 3, 4)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xC2B2AE3D27D4EB4F)

# Whom an insult is for: a second person, a call (-아, -야 after a slur), or an order to leave or be silent.
_AIMED = re.compile(
    r"(?<![가-힣])(?:너|넌|널|니|네|네가|너[는도랑를]|너한테|니가|당신|그쪽|야)(?![가-힣])|너 ?같은|네놈"
    r"|이 ?(?:놈|년|새끼|자식)"
    r"|(?<![가이은는] )(?<![가이은는] 개)(?:놈|년|새끼|자식|신|쓰레기|찐따|또라이|발럼|ㅄ|ㅂㅅ)(?:아|야|들아)"
    r"|새끼가 ?어디서|말대꾸|꺼져|꺼지|닥[쳐치]"
    r"|뒤져|디져|죽어|느금|애[미비]"
    r"|유희|챗?봇|인공지능|\b(?:ai|you)\b"
)
_BODY = r"(?:가슴|엉덩이|허벅지|몸|속옷|팬티|브라|거기)"
_SEXUAL = re.compile(
    r"섹스(?!리스|피어|텟|폰| ?앤)|쎅스|섹파|야동(?![가-힣]{0,2}(?:역|면|리))|포르노|자위(?:하|해|행|를|할|했)|딸딸이"
    r"|딸 ?(?:치|쳐|잡)|오르가[즘슴]"
    r"|성관계|성행위|펠라치|질싸|질내 ?사정|(?:너|널|날|여자|남자|걔|쟤)[^.!?]{0,6}따먹|먹버|떡 ?(?:치자|쳤)|원나잇"
    r"|조건 ?만남|폰섹|알몸|누드 ?사진|나체|음란|꼴[려리린](?!는 ?대)"
    r"|(?<![가-힣])(?:발기(?:했|됐|된|돼|가)|성기|음경|음부|애무)|신음 ?소리|잠자리 ?(?:하자|갖자|가질)"
    r"|하룻밤 ?(?:같이|보내)"
    r"|(?<![가-힣])야한 ?(?:거|것|얘기|이야기|말|사진|영상|짤|농담|상상|소설|짓)"
    rf"|{_BODY}[을를이도좀]? ?(?:사진|만[져지질]|주물|핥|보여|노출|크기)|(?:팬티|속옷|브라)[을를도]? ?(?:벗|내려)"
    r"|옷[을도]? ?(?:다 ?)?벗(?:어 ?(?:봐|줘|라|줄)(?!야)|겨|기고|자(?![가-힣])|을래|고 ?(?:있어|사진))"
    r"|(?:자기야|오빠|누나|내 ?[꺼거것]|거기|안에)[^.!?]{0,8}(?:빨아|핥아|박아|싸) ?(?:줘|줄|봐|주)"
    r"|(?<![가-힣])(?:보지|자지)(?=[가를에]? ?(?:빨|핥|박|따먹|만[져지]|보여|사진|벌[려리]))"
    r"|\bsex\w*|\bporn\w*|\bnudes?\b|\bdick ?pic|\bblow ?job|\bcum\b|\borgasm\w*|\bhorny\b|\bhentai\b"
)
# For the young, courting and what has a body in it are too much as well.
_SUGGESTIVE = re.compile(
    r"키스|뽀뽀|섹시|(?<![가-힣])야[하한해](?=[다지네요고냐면 .?!]|$)|몸매|가슴골|비키니|속옷|팬티|브라자|스킨십|모텔"
    r"|19금|십구금|콘돔|피임"
    r"|(?:나랑|오빠랑|누나랑) ?(?:같이 ?)?자자|안아 ?줄까|사귀(?:자|어 ?줄|실래)|애인 ?(?:하자|해 ?줄)"
    r"|[여남]자?친구? ?해 ?줄|변태"
    r"|(?<![가-힣])벗(?:어 ?봐|겨 ?줘|길래)"
)


@dataclass(frozen=True, slots=True)
class Classifier:
    """Logistic regression over hashed character n-grams. A bucket's weight is `scale` times its int8 in `steps`."""

    steps: NDArray[np.int8]
    scale: float
    bias: float

    def probability(self, squeezed: str) -> float:
        """Of abuse, for a text from `bot.safety.spelling.squeeze`."""
        buckets = buckets_of(squeezed)
        if not len(buckets):
            return 0.0
        logit = float(self.steps[buckets].sum(dtype=np.int64)) * self.scale / math.sqrt(len(buckets)) + self.bias
        return 1 / (1 + math.exp(-logit))


def rounded(weights: NDArray[np.float64], bias: float) -> Classifier:
    """A classifier of float weights [BUCKETS], in steps of 1/127 of the largest."""
    scale = float(np.abs(weights).max()) / 127 or 1.0
    return Classifier(np.rint(weights / scale).astype(np.int8), scale, bias)


def score(text: str, classifier: Classifier | None = None) -> float:
    """How likely a text is abusive, 0 to 1. Compare with INPUT_SIGNAL, OUTPUT_LIMIT or TRAINING_LIMIT.

    `classifier` stands in for the one that ships.
    """
    folded = fold(text)
    cursed = CURSE_SCORE if has_curse(folded) else 0.0
    return max(cursed, (classifier or shipped_classifier()).probability(squeeze(folded)))


def is_aimed(text: str) -> bool:
    """Whether hard words are for the listener: people curse their day as well, and that needs an ear, no boundary."""
    folded = fold(text)
    return any(_AIMED.search(spelling) for spelling in (folded, squeeze(folded)))


def is_sexual(text: str, young: bool = False) -> bool:
    """Whether a text is sexual; for the `young`, also whether it is suggestive or courts."""
    folded = fold(text)
    spellings = (folded, squeeze(folded))
    return any(_SEXUAL.search(spelling) or (young and _SUGGESTIVE.search(spelling)) for spelling in spellings)


def buckets_of(squeezed: str) -> NDArray[np.int64]:
    """Buckets of a text's distinct n-grams of 1 to 4 characters, ascending. A blank marks both ends."""
    if not squeezed:
        return np.zeros(0, np.int64)
    codes = np.frombuffer(f" {squeezed} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    state = np.zeros(len(codes), np.uint64)
    found: list[NDArray[np.uint64]] = []
    for length in _LENGTHS:
        if length <= len(codes):
            # One multiply and add a character (a polynomial hash), then a mix of the high bits into the low ones.
            state = state[: len(codes) - length + 1] * _STEP + codes[length - 1 :] + np.uint64(length)
            mixed = (state ^ (state >> np.uint64(29))) * _MIX
            found.append((mixed ^ (mixed >> np.uint64(32))) & np.uint64(BUCKETS - 1))
    return np.unique(np.concatenate(found)).astype(np.int64)


def save(classifier: Classifier, path: Path, about: Mapping[str, object]) -> None:
    """Replace `path` with a classifier and what is to be told `about` it."""
    packed = base64.b64encode(classifier.steps.tobytes()).decode("ascii")
    content = {"about": about, "bias": classifier.bias, "scale": classifier.scale, "weights": packed}
    write_json(path, content)


def load(path: Path) -> Classifier:
    """Read what `save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    steps = np.frombuffer(base64.b64decode(content["weights"]), np.int8)
    return Classifier(steps, float(content["scale"]), float(content["bias"]))


@cache
def shipped_classifier() -> Classifier:
    """The classifier beside this file, read once."""
    return load(MODEL_FILE)
