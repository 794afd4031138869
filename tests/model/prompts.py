"""What both backends are asked in their tests."""

from __future__ import annotations

from model.dialogue import DialogueContext, Role, Sampling, SpeechLevel, Turn
from tests.model.conftest import TEXTS

GREEDY = Sampling(temperature=0, repetition_penalty=1, max_new_tokens=16, candidates=1)
CONTEXT = DialogueContext(
    persona=("내 이름은 유희다.", "나는 떡볶이 이야기를 제일 좋아한다."),
    turns=(Turn(Role.USER, "안녕?"), Turn(Role.BOT, "안녕하세요!"), Turn(Role.USER, "뭐 먹을까?")),
    speech_level=SpeechLevel.HAEYO,
)
# Many short ones, with and without a persona.
PROMPTS = [
    DialogueContext(turns=(Turn(Role.USER, text[cut:]),), persona=CONTEXT.persona[: cut % 3])
    for text in TEXTS
    for cut in (0, 3, 6, 9)
]
