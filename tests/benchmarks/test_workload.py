from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.errors import BenchmarkError
from benchmarks.workload import KOGPT2, Prompts, Workload, random_checkpoint, save_model
from model import checkpoint as checkpoints
from model.dialogue import Role
from model.gpt2 import Shape
from tests.benchmarks.conftest import TINY


def test_prompts_have_exactly_the_tokens_asked_for(tiny: Path, prompts: Prompts) -> None:
    encode = checkpoints.load(tiny).chat_format.encode
    for prompt in prompts.first(3):
        assert len(prompt.ids) == TINY.prompt_tokens
        assert encode(prompt.context, None, 64).input_ids == prompt.ids


def test_a_second_turn_holds_the_first_and_its_answer_whatever_its_length(prompts: Prompts) -> None:
    (prompt,) = prompts.first(1)
    short, long = prompts.second(prompt, "가"), prompts.second(prompt, "가 나 다 라")
    assert len(short.ids) == len(long.ids) == TINY.second_tokens
    assert short.ids[: TINY.prompt_tokens] == prompt.ids
    assert [turn.role for turn in long.context.turns] == [Role.USER, Role.BOT, Role.USER]
    assert long.context.turns[1].text == "가 나 다 라"


def test_an_answer_without_room_for_what_follows_is_one_sentence(prompts: Prompts) -> None:
    (prompt,) = prompts.first(1)
    with pytest.raises(BenchmarkError, match="longer"):
        prompts.second(prompt, " ".join(["가"] * TINY.second_tokens))


def test_the_same_seed_gives_the_same_prompts_and_another_others(prompts: Prompts) -> None:
    prompts.restart("a")
    first = prompts.first(2)
    prompts.restart("a")
    assert prompts.first(2) == first
    prompts.restart("b")
    assert prompts.first(2) != first


def test_prompts_share_a_persona_or_nothing(prompts: Prompts) -> None:
    one, other = prompts.first(2, shared_persona=True)
    assert one.context.persona == other.context.persona != ()
    # The beginning token, the mark of the persona, and its words.
    assert one.ids[: 2 + TINY.persona_tokens] == other.ids[: 2 + TINY.persona_tokens]
    assert one.ids != other.ids
    one, other = prompts.first(2)
    assert one.context.persona == ()
    assert one.ids[3:] != other.ids[3:]


@pytest.mark.parametrize("shape", ["tiny", "default"])
def test_the_end_token_is_never_likely(shape: str, tiny: Path, tmp_path: Path) -> None:
    folder = tiny if shape == "tiny" else save_model("default", tmp_path / "model")
    checkpoint = checkpoints.load(folder)
    torch.manual_seed(1)
    ids = torch.randint(0, len(checkpoint.tokenizer), (4, 48))
    ids[:, ::5] = checkpoint.chat_format.eos_id
    logits = checkpoint.model.lm_head(checkpoint.model.transformer(ids).last_hidden_state)
    ends = logits[..., checkpoint.chat_format.eos_id]
    assert bool((ends < logits.topk(50).values[..., -1]).all())


def test_the_default_model_still_says_nearly_what_it_said(tmp_path: Path) -> None:
    changed = checkpoints.load(save_model("default", tmp_path / "model"))
    shipped = checkpoints.load(Path("model/default"))
    prompts = Prompts(shipped.chat_format, 256, Workload())
    ids = torch.tensor([prompt.ids for prompt in prompts.first(4)])
    before, after = (
        checkpoint.model.lm_head(checkpoint.model.transformer(ids).last_hidden_state)
        for checkpoint in (shipped, changed)
    )
    before[..., shipped.chat_format.eos_id] = -torch.inf
    assert (before.argmax(-1) == after.argmax(-1)).float().mean() > 0.5


def test_the_kogpt2_shape_is_that_of_kogpt2() -> None:
    assert (KOGPT2.layers, KOGPT2.width, KOGPT2.heads, KOGPT2.positions) == (12, 768, 12, 1024)


def test_a_random_checkpoint_is_the_same_each_time_and_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    shape = Shape(layers=1, width=8, heads=1, positions=32)
    one, other = (random_checkpoint(shape, vocabulary=60) for _ in range(2))
    assert torch.equal(one.model.transformer.wte.weight, other.model.transformer.wte.weight)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(one.tokenizer) == one.model.config.vocab_size == 60
