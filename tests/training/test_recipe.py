from __future__ import annotations

import json
import lzma
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model import checkpoint as checkpoints
from model.dialogue import DEFAULT_PERSONA, SpeechLevel
from model.files import sha256
from model.gpt2 import Shape
from tests.training.builders import TEXTS, invoke, talk, weights
from training import recipe as recipes
from training.corpora import load_dialogues, write_dialogues
from training.errors import BadData, BadOption
from training.examples import Dialogue
from training.recipe import Corpora, Recipe, read_corpora, run, with_personas
from training.trainer import TrainOptions

STEPS = TrainOptions(max_steps=2, batch_size=4, learning_rate=1e-2, log_steps=1, cpu=True)
MINIATURE = Recipe(
    shape=Shape(layers=1, width=32, heads=2, positions=256),
    vocab_size=400,
    reviews=3,
    held_out_percent=50,
    persona_share=0.5,
    foreign_share=0.5,
    noise_share=0.3,
    passes=2,
    slot_copies=1,
    text=STEPS,
    dialogues=STEPS,
    replies=replace(STEPS, choice_weight=0.5),
    distractors=1,
)
FOODS = ["김밥", "라면", "떡볶이", "순대", "냉면", "국수", "만두", "튀김"]


def write_xz(path: Path, records: Sequence[dict[str, object]]) -> None:
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def pack(path: Path, dialogues: Sequence[Dialogue]) -> None:
    """Write dialogues as the .jsonl.xz file `path`."""
    plain = path.with_suffix("")
    write_dialogues(dialogues, plain)
    path.write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """Tiny files under the names of the real ones."""
    folder = tmp_path / "corpora"
    folder.mkdir()
    write_xz(folder / "text_spoken.jsonl.xz", [{"text": text} for text in TEXTS])
    write_xz(folder / "text_nsmc.jsonl.xz", [{"text": f"{number}번 봤는데 볼 때마다 재밌네요"} for number in range(9)])
    pack(folder / "dialogues_songys.jsonl.xz", [talk(f"{food} 먹을까?", f"{food} 맛있죠.") for food in FOODS])
    persona = ("나는 고양이를 키운다.", "나는 부산에 산다.")
    measured = [talk(f"{food} 알아요?", f"{food} 알죠.", persona=persona, source="Xpersona (Ko)") for food in FOODS]
    pack(folder / "dialogues_persona.jsonl.xz", [*measured, talk("반가워요", "저도요.", persona=persona)])
    return folder


@pytest.fixture
def authored(tmp_path: Path) -> Path:
    folder = tmp_path / "authored"
    folder.mkdir()
    own = [talk(f"{food} 좋아해?", f"응, {food} 좋아해.", level=SpeechLevel.BANMAL, source="own") for food in FOODS]
    write_dialogues(own, folder / "own.jsonl")
    return folder


def openings(dialogues: Sequence[Dialogue]) -> set[str]:
    return {dialogue.turns[0].text for dialogue in dialogues}


def stages(work: Path) -> dict[str, str]:
    """When each finished stage's weights were written."""
    return {path.parent.name: str(path.stat().st_mtime_ns) for path in sorted(work.glob("*/model.safetensors"))}


@pytest.mark.slow
def test_a_run_ends_in_the_checkpoint_that_ships(tmp_path: Path, corpora: Path, authored: Path) -> None:
    out, work = tmp_path / "shipped", tmp_path / "work"
    out.mkdir()
    (out / "MODEL_CARD.md").write_text("# 말벗", encoding="utf-8")
    # Stopped after two stages: there are not so many replies.
    with pytest.raises(BadData, match="999 distractors"):
        run(replace(MINIATURE, distractors=999), corpora, authored, out, work)
    first = stages(work)
    assert set(first) == {"text", "dialogues"}
    assert [path.name for path in out.iterdir()] == ["MODEL_CARD.md"]

    run(MINIATURE, corpora, authored, out, work)
    assert stages(work).items() > first.items()
    assert (out / "MODEL_CARD.md").read_text(encoding="utf-8") == "# 말벗"
    assert {weight.dtype for weight in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    shipped = checkpoints.load(out)
    assert (shipped.manifest.parent, shipped.manifest.format) == (None, "malbeot")
    assert shipped.manifest.version == f"shipped-{str(shipped.manifest.data_sha256)[:8]}"
    assert shipped.manifest.data_sha256 == sha256(read_corpora(corpora, authored, MINIATURE).files)
    trained = weights(work / "replies")
    assert all(torch.equal(weight, trained[name].bfloat16().float()) for name, weight in weights(out).items())
    parents = [checkpoints.load(work / stage).manifest.parent for stage in ("text", "dialogues", "replies")]
    assert parents == [None, "text", "dialogues"]

    done = stages(work)
    run(MINIATURE, corpora, authored, out, work)
    assert stages(work) == done


def test_what_measures_is_written_and_never_learnt(tmp_path: Path, corpora: Path, authored: Path) -> None:
    work = tmp_path / "work"
    # It is set aside before anything is learnt.
    with pytest.raises(BadOption, match="choose a multiple of 3"):
        run(replace(MINIATURE, text=replace(STEPS, accumulation=3)), corpora, authored, tmp_path / "shipped", work)
    measured = [load_dialogues([str(work / f"{name}.jsonl")]).dialogues for name in ("held_out", "evaluation")]
    learnt = read_corpora(corpora, authored, MINIATURE).chat
    assert openings(measured[1]) == {f"{food} 알아요?" for food in FOODS}
    assert len(measured[0]) >= 3
    everything = {f"{food} {asked}" for food in FOODS for asked in ("먹을까?", "좋아해?")} | {"반가워요"}
    assert openings(learnt) | openings(measured[0]) == everything
    assert not openings(learnt) & (openings(measured[0]) | openings(measured[1]))


def read(corpora: Path, authored: Path) -> Corpora:
    return read_corpora(corpora, authored, MINIATURE)


def test_corpora_are_read_the_same_each_time(corpora: Path, authored: Path) -> None:
    found = read(corpora, authored)
    assert found == read(corpora, authored)
    assert found.texts[: len(TEXTS)] == TEXTS
    assert len(set(found.texts[len(TEXTS) :])) == MINIATURE.reviews
    assert all(path.exists() for path in found.files)


def test_every_dialogue_gets_the_level_its_replies_show(corpora: Path, authored: Path) -> None:
    found = read(corpora, authored)
    levels = {d.turns[0].text.split()[-1]: d.speech_level for d in (*found.chat, *found.held_out, *found.evaluation)}
    polite, casual = SpeechLevel.HAEYO, SpeechLevel.BANMAL
    assert levels == {"먹을까?": polite, "좋아해?": casual, "알아요?": polite, "반가워요": polite}


def test_a_missing_corpus_is_named(corpora: Path, authored: Path) -> None:
    (corpora / "text_nsmc.jsonl.xz").unlink()
    with pytest.raises(BadData, match=r"text_nsmc\.jsonl\.xz"):
        read(corpora, authored)


def test_the_default_persona_goes_to_a_share_of_those_without_one() -> None:
    own = ("나는 고양이를 키운다.", "나는 부산에 산다.", "나는 의사다.")
    dialogues = [talk(f"{number}", "네.", persona=own if number % 2 else ()) for number in range(200)]
    given = with_personas(dialogues, 0.5, random.Random(0))
    assert [dialogue.turns for dialogue in given] == [dialogue.turns for dialogue in dialogues]
    assert {frozenset(dialogue.persona) for dialogue in given[1::2]} == {frozenset(own)}
    assert len({dialogue.persona for dialogue in given[1::2]}) == 6, "facts are shuffled"
    without = [dialogue.persona for dialogue in given[::2]]
    assert {frozenset(persona) for persona in without} == {frozenset(), frozenset(DEFAULT_PERSONA)}
    assert 35 < without.count(()) < 65


def test_an_unknown_recipe_is_refused(corpora: Path) -> None:
    result = invoke(recipes.app, "small", "--corpora", corpora)
    assert result.exit_code == 2
    assert result.stderr == "There is no recipe 'small'; choose one of default.\n"
