from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model import checkpoint as checkpoints
from tests.training.builders import TEXTS, invoke, talk, weights
from tests.training.test_recipe import MINIATURE
from training import ablations as commands
from training.ablations import train_variants, variants
from training.recipe import OWN, RECIPES, Corpora
from training.trainer import TrainOptions

TOKENS = 800_000
# Some steps a stage: the first one learns at a rate of nought.
FEW = 12_000
FOODS = ("김밥", "라면", "떡볶이", "순대", "냉면", "국수", "만두", "튀김")
OWN_TALK = tuple(talk(f"{food} 좋아해요?", f"네, {food} 좋아해요.", source=OWN) for food in FOODS)
FOREIGN = tuple(talk(f"{food} 먹을까?", f"{food} 맛있죠.", source="songys") for food in FOODS)


def test_each_variant_differs_from_the_whole_in_its_part() -> None:
    every = {name: variant.recipe for name, variant in variants(RECIPES["default"], TOKENS).items()}
    whole = every["whole"]
    assert every["no-texts"] == replace(whole, text=None, dialogues=every["no-texts"].dialogues)
    assert every["no-replies-stage"] == replace(whole, replies=None, dialogues=every["no-replies-stage"].dialogues)
    assert every["no-typing-noise"] == replace(whole, noise_share=0.0)
    assert every["no-other-values"] == replace(whole, slot_copies=0)
    assert every["no-default-persona"] == replace(whole, persona_share=0.0)
    assert every["own-dialogues-only"] == whole
    assert every["two-layers"].shape.layers == 2 < whole.shape.layers
    assert whole.replies is not None and whole.replies.choice_weight > 0
    assert every["no-next-utterance"] == replace(whole, replies=replace(whole.replies, choice_weight=0.0))


def tokens_of(text: TrainOptions | None, dialogues: TrainOptions, replies: TrainOptions | None) -> int:
    """16 and 8 rows of 256 tokens a step, and about 5,500 tokens of replies."""
    steps = (text.max_steps if text else 0, dialogues.max_steps, replies.max_steps if replies else 0)
    return steps[0] * 16 * 256 + steps[1] * 8 * 256 + steps[2] * 5_500


def test_every_variant_sees_about_as_many_tokens() -> None:
    for variant in variants(RECIPES["default"], TOKENS).values():
        recipe = variant.recipe
        assert tokens_of(recipe.text, recipe.dialogues, recipe.replies) == pytest.approx(TOKENS, rel=0.02)


@pytest.mark.slow
def test_what_is_the_same_as_in_the_whole_recipe_is_trained_once(tmp_path: Path) -> None:
    chat = (*OWN_TALK, *FOREIGN)
    corpora = Corpora(tuple(TEXTS), chat, OWN_TALK[:1], (), ())
    whole = replace(MINIATURE, shape=replace(MINIATURE.shape, layers=3))
    tokenizer, work = Path("model/default").resolve(), tmp_path / "work"
    folders = train_variants(whole, FEW, corpora, tokenizer, work)
    names = ["untrained", *variants(whole, FEW)]
    assert [folder.relative_to(work).parts[0] for folder in folders] == names
    assert all(checkpoints.load(folder) for folder in folders)

    def same(variant: str, stage: str) -> bool:
        mine, its = weights(work / variant / stage), weights(work / "whole" / stage)
        return all(bool((mine[name] == its[name]).all()) for name in its)

    assert same("no-next-utterance", "dialogues") and same("no-default-persona", "dialogues")
    assert same("own-dialogues-only", "text") and not same("own-dialogues-only", "dialogues")
    assert not (work / "no-texts" / "text").exists() and not (work / "no-replies-stage" / "replies").exists()
    written = {path: path.stat().st_mtime_ns for path in work.glob("*/*/model.safetensors")}
    assert train_variants(whole, FEW, corpora, tokenizer, work) == folders
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_missing_tokenizer_is_told(tmp_path: Path) -> None:
    result = invoke(commands.app, "--corpora", tmp_path, "--tokenizer", tmp_path / "none")
    assert result.exit_code == 2
    assert "there is no such folder; name one that holds a tokenizer.json." in result.stderr
