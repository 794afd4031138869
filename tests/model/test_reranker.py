from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from model import reranker as rerankers
from model.dialogue import DialogueContext, Source
from model.e5_weights import E5Weights
from model.reranker import (
    APART,
    FEATURES,
    TURNS,
    LowerLayers,
    Reranker,
    UpperLayers,
    features,
    laid_out,
)
from model.retriever import Match
from tests.model.builders import user_last
from tests.model.e5_file import EPSILON, HEADS, HIDDEN, INTERMEDIATE, PIECES, POSITIONS
from tests.model.tiny_reranker import CONTEXT, MATCHES, far_apart, fits, texts_read, upper_of

TEXTS = ("밥 국", "", "물", "면빵떡차술꽃비눈해달", "별!", "산강집?" * 30)


@pytest.fixture(scope="module")
def lower(weights: E5Weights) -> LowerLayers:
    """Not to be handed to a Reranker, which packs what it is given."""
    return LowerLayers(weights)


def reference(weights: E5Weights) -> BertModel:
    """The same encoder by transformers, up to the layer that the lower ones end with."""
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=HIDDEN,
        num_hidden_layers=APART,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=POSITIONS,
        layer_norm_eps=EPSILON,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.train(False)
    parts = {
        "attention.self.query": ("q", HIDDEN),
        "attention.self.key": ("k", HIDDEN),
        "attention.self.value": ("v", HIDDEN),
        "attention.output.dense": ("ao", HIDDEN),
        "intermediate.dense": ("fi", INTERMEDIATE),
        "output.dense": ("fo", HIDDEN),
    }
    norms = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
    state = {
        "embeddings.word_embeddings.weight": weights.matrix("emb.word", len(PIECES)),
        "embeddings.position_embeddings.weight": weights.floats("emb.pos").reshape(-1, HIDDEN),
        "embeddings.token_type_embeddings.weight": weights.floats("emb.type").reshape(-1, HIDDEN),
        "embeddings.LayerNorm.weight": weights.floats("emb.ln.w"),
        "embeddings.LayerNorm.bias": weights.floats("emb.ln.b"),
    }
    for number in range(APART):
        for name, (part, rows) in parts.items():
            state[f"encoder.layer.{number}.{name}.weight"] = weights.matrix(f"l{number}.{part}.w", rows)
            state[f"encoder.layer.{number}.{name}.bias"] = weights.floats(f"l{number}.{part}.b")
        for name, part in norms.items():
            state[f"encoder.layer.{number}.{name}.weight"] = weights.floats(f"l{number}.{part}.w")
            state[f"encoder.layer.{number}.{name}.bias"] = weights.floats(f"l{number}.{part}.b")
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in state.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert (set(missing) - {"embeddings.position_ids"}, unexpected) == (set(), [])
    return model


@torch.inference_mode()
def test_the_lower_layers_are_those_of_bert(weights: E5Weights, lower: LowerLayers) -> None:
    bert = reference(weights)
    for text, states in zip(TEXTS, lower.of(TEXTS), strict=True):
        ids = weights.tokens(f"query: {text}", 40)
        expected = bert(torch.tensor([ids])).last_hidden_state[0]
        # Without what begins every text alike: <s> and the prefix.
        assert ids[:4] == [PIECES.index(piece) for piece in ("<s>", "▁que", "ry", ":")]
        torch.testing.assert_close(states, expected[4:], atol=1e-4, rtol=1e-4)


def test_a_text_has_the_same_states_alone_and_among_others(lower: LowerLayers) -> None:
    for text, among in zip(TEXTS, lower.of(TEXTS), strict=True):
        (alone,) = lower.of([text])
        assert alone.shape == among.shape
        torch.testing.assert_close(alone, among, atol=1e-5, rtol=1e-5)


def test_texts_are_cleaned_and_cut_first(lower: LowerLayers) -> None:
    plain, dressed, long, longer = lower.of(["밥 국", " 밥\n\u200b국", "밥 국 물 " * 20, "밥 국 물 " * 21])
    torch.testing.assert_close(plain, dressed)
    assert len(long) == 40 + 2 - 4
    torch.testing.assert_close(long, longer)
    assert lower.of([]) == []


def logits_of(
    upper: UpperLayers,
    lower: LowerLayers,
    turns: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    told: Tensor | None = None,
) -> Tensor:
    """Of one conversation, the newest turn first, and its candidates."""
    of = dict(zip(texts := [*turns, *(text for pair in pairs for text in pair)], lower.of(texts), strict=True))
    states, kinds, owners = laid_out([of[turn] for turn in turns], [(of[said], of[reply]) for said, reply in pairs])
    with torch.inference_mode():
        told = torch.zeros(len(pairs), FEATURES) if told is None else told
        found: Tensor = upper(states[None], kinds[None], owners[None], told[None])[0]
    return found


TALK, PAIRS = ("밥 국", "달"), (("빵 떡", "꽃"), ("밥국", "물 술 차"), ("", "별 해"))


def test_a_candidates_logits_do_not_depend_on_the_others(upper: UpperLayers, lower: LowerLayers) -> None:
    together = logits_of(upper, lower, TALK, PAIRS)
    assert together.shape == (3, 2)
    assert far_apart(together[0], together[1])
    assert far_apart(together[1], together[2])
    for number, pair in enumerate(PAIRS):
        torch.testing.assert_close(logits_of(upper, lower, TALK, [pair])[0], together[number], atol=1e-4, rtol=1e-4)
    turned = logits_of(upper, lower, TALK, PAIRS[::-1])
    torch.testing.assert_close(turned.flip(0), together, atol=1e-4, rtol=1e-4)


def test_the_conversation_decides_and_the_order_of_its_turns(upper: UpperLayers, lower: LowerLayers) -> None:
    found = logits_of(upper, lower, TALK, PAIRS)
    assert far_apart(found, logits_of(upper, lower, TALK[::-1], PAIRS))
    assert far_apart(found, logits_of(upper, lower, TALK[:1], PAIRS))
    assert far_apart(found, logits_of(upper, lower, ("밥 물", "달"), PAIRS))


def test_what_the_candidate_answered_once_decides_too(upper: UpperLayers, lower: LowerLayers) -> None:
    found = logits_of(upper, lower, TALK, [("빵 떡", "꽃")])
    assert far_apart(found, logits_of(upper, lower, TALK, [("빵 집", "꽃")]))
    assert far_apart(found, logits_of(upper, lower, TALK, [("꽃", "빵 떡")]))


def test_how_it_was_found_decides_for_that_candidate_alone(upper: UpperLayers, lower: LowerLayers) -> None:
    told = torch.zeros(3, FEATURES)
    told[1, 0] = 3.0
    found, plain = (logits_of(upper, lower, TALK, PAIRS, each) for each in (told, None))
    assert far_apart(found[1], plain[1])
    assert torch.equal(found[[0, 2]], plain[[0, 2]])


def test_turns_before_the_newest_ones_are_not_read(upper: UpperLayers, lower: LowerLayers) -> None:
    turns = ("밥 국", "달", "산 강", "길", "책")
    found = logits_of(upper, lower, turns, PAIRS)
    assert torch.equal(found, logits_of(upper, lower, turns[:TURNS], PAIRS))
    assert far_apart(found, logits_of(upper, lower, turns[: TURNS - 1], PAIRS))


def test_padding_changes_nothing(upper: UpperLayers, lower: LowerLayers) -> None:
    turns, replies = lower.of(TALK), lower.of([reply for _, reply in PAIRS])
    states, kinds, owners = laid_out(turns, [(replies[0], reply) for reply in replies])
    told = torch.zeros(1, 3, FEATURES)
    more = 7
    padded = (
        torch.cat([states, torch.randn(more, HIDDEN, generator=torch.Generator().manual_seed(0)) * 9])[None],
        torch.cat([kinds, torch.zeros(more, dtype=torch.long)])[None],
        torch.cat([owners, torch.full((more,), -1)])[None],
        torch.zeros(1, 5, FEATURES),
    )
    with torch.inference_mode():
        plain, found = upper(states[None], kinds[None], owners[None], told), upper(*padded)
    assert found.shape == (1, 5, 2)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, :3], plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("match", "turns", "expected"),
    [
        (Match("가", 0.7), 1, [0.7, 0, 0, 0, 0, 0, 0, 0, 0]),
        (Match("가", 0.7, Source.LISTENER), 1, [0.7, 1, 0, 0.7, 0, 0, 0, 0, 0]),
        (Match("가", 0.7, Source.LISTENER, general=True), 2, [0.7, 1, 1, 0.7, 0, 1, 0, 0, 0]),
        (Match("가", 0.7, deep=True), 3, [0.7, 0, 0, 0, 1, 1, 0, 0, 0]),
        (Match("가", 0.7), 4, [0.7, 0, 0, 0, 0, 1, 1, 0, 0]),
        (Match("가", 0.0, Source.LISTENER, chance=0.6), 1, [0, 1, 0, 0, 0, 0, 0, 0.6, 1]),
        (Match("가", 0.0, Source.LISTENER, chance=0.0), 1, [0, 1, 0, 0, 0, 0, 0, 0, 1]),
    ],
)
def test_features_tell_how_a_candidate_was_found(match: Match, turns: int, expected: list[float]) -> None:
    context = DialogueContext((), user_last(*["밥"] * turns))
    assert features(context, match) == expected
    assert len(expected) == FEATURES


def expected_chances(upper: UpperLayers, lower: LowerLayers) -> Tensor:
    """Of MATCHES in CONTEXT, by the layers as they are."""
    told = torch.tensor([features(CONTEXT, match) for match in MATCHES])
    pairs = [(match.said or "", match.text) for match in MATCHES]
    turns = [turn.text for turn in reversed(CONTEXT.turns)]
    return torch.sigmoid(logits_of(upper, lower, turns, pairs, told))


def test_in_service_the_chances_are_those_of_the_layers(
    weights: E5Weights, upper: UpperLayers, lower: LowerLayers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerankers, "choose_precision", lambda asked, device: "fp32")
    found = fits(Reranker(LowerLayers(weights), upper_of(weights)), CONTEXT, MATCHES)
    assert found == pytest.approx(expected_chances(upper, lower), abs=1e-4)


def test_eight_bits_change_the_chances_little(weights: E5Weights, upper: UpperLayers, lower: LowerLayers) -> None:
    expected = expected_chances(upper, lower)
    found = fits(Reranker(LowerLayers(weights), upper_of(weights)), CONTEXT, MATCHES)
    assert float((found - expected).square().mean().sqrt()) < 0.05
    assert float(expected[:, 0].amax() - expected[:, 0].amin()) > 0.2, "there is more to tell than that"


def test_in_service_nothing_depends_on_who_else_is_there_or_was_asked_before(weights: E5Weights) -> None:
    reranker = Reranker(LowerLayers(weights), upper_of(weights))
    together = fits(reranker, CONTEXT, MATCHES)
    fresh = Reranker(LowerLayers(weights), upper_of(weights))
    alone = torch.cat([fits(fresh, CONTEXT, [match]) for match in reversed(MATCHES)]).flip(0)
    assert alone == pytest.approx(together, abs=1e-3)
    assert torch.equal(fits(reranker, CONTEXT, MATCHES), together)


def test_long_talks_are_read_from_the_newest_turns_on(weights: E5Weights) -> None:
    reranker = Reranker(LowerLayers(weights), upper_of(weights))
    long, other, short = (
        DialogueContext((), user_last(*turns))
        for turns in (("길", "책", "산", "달", "밥"), ("말", "꽃", "산", "달", "밥"), ("길", "책", "산", "달", "국"))
    )
    assert torch.equal(fits(reranker, long, MATCHES), fits(reranker, other, MATCHES))
    assert far_apart(fits(reranker, long, MATCHES), fits(reranker, short, MATCHES))


def test_without_a_turn_or_a_candidate_nothing_fits(weights: E5Weights) -> None:
    reranker = Reranker(LowerLayers(weights), upper_of(weights))
    assert reranker.fits(CONTEXT, []) == []
    assert reranker.fits(DialogueContext(), MATCHES) == []


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the lower layers were given."""
    return texts_read(monkeypatch)


def asked(reranker: Reranker, said: str, *replies: str) -> None:
    matches = [Match(reply, 0.5, said=said) for reply in replies]
    assert len(reranker.fits(DialogueContext((), user_last(said)), matches)) == len(replies)


def test_what_was_read_is_remembered_and_the_oldest_forgotten(
    weights: E5Weights, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerankers, "_REMEMBERED", 3)
    reranker = Reranker(LowerLayers(weights), upper_of(weights))
    asked(reranker, "밥", "국", "물")
    assert sorted(read) == ["국", "물", "밥"], "each once"
    read.clear()
    asked(reranker, "밥", "물", "국")
    assert read == []
    asked(reranker, "밥", "달")
    assert read == ["달"]
    read.clear()
    asked(reranker, "밥", "국", "달")
    assert read == [], "what was asked for last is kept"
    asked(reranker, "달", "물")
    assert read == ["물"]


def test_more_candidates_than_are_remembered_are_read_all_the_same(
    weights: E5Weights, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerankers, "_REMEMBERED", 2)
    reranker = Reranker(LowerLayers(weights), upper_of(weights))
    asked(reranker, "밥", "국", "물", "달", "꽃")
    asked(reranker, "밥", "국", "물", "달", "꽃")
    assert len(read) <= 10
