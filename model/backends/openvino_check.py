"""Does an OpenVINO export say what its checkpoint says? Asked once, before it serves anybody."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from model.backends.openvino_backend import OpenVinoBackend
from model.backends.openvino_cache import Export
from model.checkpoint import Checkpoint
from model.dialogue import DEFAULT_PERSONA, DialogueContext, Role, SpeechLevel, Turn

# What people say to a companion, and what it might answer.
_LINES = (
    "안녕하세요! 오늘 하루 어땠어요?",
    "점심 뭐 먹지? 추천 좀 해줘",
    "요즘 잠을 잘 못 자서 너무 피곤해요.",
    "나 내일 면접이야 떨려",
    "비 오는 날엔 뭐 하는 걸 좋아하세요?",
    "친구랑 싸웠는데 어떻게 화해하지?",
    "이름이 뭐예요?",
    "ㅋㅋㅋ 그거 진짜 웃기다",
)
_ANSWERS = ("저는 유희예요!", "떡볶이 어때요?", "정말 힘들었겠다.")
_TOKENS = 12
# Little, so that a large model can be checked while the engine still serves another.
_CACHE_MB = 64


def compare(export: Export, checkpoint: Checkpoint) -> tuple[float, float]:
    """The share of next ids (greedy) that are those of torch in fp32, and the largest difference of scores.

    Both continue torch's reply, so that a reply that parts once counts as one difference.
    """
    served = OpenVinoBackend(export, checkpoint.chat_format, checkpoint.manifest.version, cache_mb=_CACHE_MB)
    same, asked, errors = 0, 0, [0.0]
    for context in contexts():
        prompt = checkpoint.chat_format.encode(context, None, checkpoint.max_positions - _TOKENS).input_ids
        expected = reference_ids(checkpoint, prompt, export.vocabulary.suppressed, _TOKENS)
        got = served.next_ids([(*prompt, *expected[:length]) for length in range(len(expected))])
        same += sum(one == other for one, other in zip(got, expected, strict=True))
        asked += len(expected)
        scores = served.score(context, _ANSWERS)
        if scores is not None:
            wanted = reference_scores(checkpoint, context, _ANSWERS)
            errors += [abs(one - other) for one, other in zip(scores, wanted, strict=True)]
    return same / asked, max(errors)


def contexts() -> list[DialogueContext]:
    """Conversations with the default persona, alternately in 해요체 and 반말, of one to three turns."""
    levels = (SpeechLevel.HAEYO, SpeechLevel.BANMAL)
    turns = tuple(Turn(Role.BOT if place % 2 else Role.USER, line) for place, line in enumerate(_LINES))
    return [
        DialogueContext(DEFAULT_PERSONA, turns[max(0, place - 2) : place + 1], levels[place % 2])
        for place in range(len(turns))
    ]


@torch.inference_mode()
def reference_ids(checkpoint: Checkpoint, prompt: Sequence[int], suppressed: Sequence[int], limit: int) -> list[int]:
    """What torch writes after `prompt`, greedily, with the end where it comes to one."""
    model, new, past = checkpoint.model, list(prompt), None
    ids: list[int] = []
    while len(ids) < limit and checkpoint.chat_format.eos_id not in ids:
        output = model.transformer(torch.tensor([new]), past_key_values=past, use_cache=True)
        logits = model.lm_head(output.last_hidden_state[0, -1])
        logits[list(suppressed)] = -torch.inf
        past, new = output.past_key_values, [int(logits.argmax())]
        ids += new
    return ids


@torch.inference_mode()
def reference_scores(checkpoint: Checkpoint, context: DialogueContext, texts: Sequence[str]) -> list[float]:
    """The next-utterance scores of texts that torch gives."""
    model, scores = checkpoint.model, []
    for text in texts:
        ids = checkpoint.chat_format.encode(context, text, checkpoint.max_positions).input_ids
        hidden = model.transformer(torch.tensor([ids]), use_cache=False).last_hidden_state
        scores.append(float(model.multiple_choice_head(hidden, torch.tensor([len(ids) - 1])).item()))
    return scores
