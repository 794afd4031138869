from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPT2DoubleHeadsModel, GPT2LMHeadModel, PreTrainedTokenizerFast

from model.chat_format import FORMATS, Encoded, get_format, new_tokens
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, Finish, Role, Sampling, SpeechLevel, Turn
from model.errors import BadCheckpoint
from model.gpt2 import DialogueModel, Shape, new_model
from model.manifest import Manifest
from model.tokenizer import train_tokenizer
from training.examples import TrainingExample
from training.scoring import generate_replies, morpheme_splitter, reply_likelihoods, score_candidates

SENTENCES = [
    "안녕하세요 반가워요",
    "오늘 뭐 했어요?",
    "떡볶이 먹었어요",
    "비가 와서 좋아요",
    "안녕 반가워",
    "오늘 뭐 했어",
]
PERSONA = ("나는 떡볶이를 좋아한다.", "나는 비를 좋아한다.")
CANDIDATES = ["떡볶이 먹었어요.", "네", "네 좋아요", "비가 와서 집에 있었어요, 오늘은 하루 종일요.", "네"]
POSITIONS = 160


every_format = pytest.mark.parametrize("name", sorted(FORMATS))


def tiny_checkpoint(name: str = "malbeot", positions: int = POSITIONS) -> Checkpoint:
    """Two layers with random weights, large enough that a wrong position or mask shows in every score."""
    tokenizer = train_tokenizer(SENTENCES * 2, vocab_size=320)
    missing = [token for token in new_tokens(name) if token not in tokenizer.get_vocab()]
    tokenizer.add_tokens([AddedToken(token, special=True) for token in missing], special_tokens=True)
    model = seeded_model(tokenizer, positions)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.dim() > 1 else 1)
        # Replies that end at once, or are parts of characters, would show nothing.
        dull = [token for token in range(len(tokenizer)) if "\ufffd" in tokenizer.decode([token])]
        model.transformer.wte.weight[[*dull, tokenizer.eos_token_id]] *= 0.1
    return Checkpoint(model, tokenizer, get_format(name, tokenizer), Manifest("tiny", name))


def seeded_model(tokenizer: PreTrainedTokenizerFast, positions: int) -> DialogueModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_model(tokenizer, Shape(layers=2, width=32, heads=2, positions=positions))
    model.train(False)
    return model


def said(*texts: str) -> DialogueContext:
    """A context in which user and bot take turns, the user last."""
    roles = [Role.BOT if (len(texts) - index) % 2 == 0 else Role.USER for index in range(len(texts))]
    turns = tuple(Turn(role, text) for role, text in zip(roles, texts, strict=True))
    return DialogueContext(PERSONA, turns, SpeechLevel.HAEYO)


SHORT = said("오늘 뭐 했어요?")
LONGER = said("안녕하세요", "반가워요", "비가 와요")
# So long that the encoder drops more of it for a long candidate than for a short one.
FULL = said(*["오늘 뭐 했어요? 떡볶이 먹었어요"] * 9)


def plain_scores(checkpoint: Checkpoint, context: DialogueContext, reply: str) -> tuple[float, float]:
    """Next-utterance logit and mean loss (nats) of one candidate by transformers' own forward pass, all at once."""
    encoded = checkpoint.chat_format.encode(context, reply, checkpoint.max_positions)
    ids = torch.tensor([encoded.input_ids])
    labels = ids.masked_fill(~torch.tensor([encoded.supervised]), -100)
    with torch.inference_mode():
        output = GPT2DoubleHeadsModel.forward(
            checkpoint.model,
            ids,
            token_type_ids=_kinds(encoded),
            labels=labels,
            mc_token_ids=torch.tensor([ids.shape[1] - 1]),
        )
    return float(output.mc_logits), float(output.loss)


def _kinds(encoded: Encoded) -> Tensor | None:
    return torch.tensor([encoded.token_type_ids]) if encoded.token_type_ids is not None else None


@every_format
@pytest.mark.parametrize("context", [SHORT, LONGER, FULL])
def test_candidates_score_as_without_sharing(name: str, context: DialogueContext) -> None:
    checkpoint = tiny_checkpoint(name)
    scores = score_candidates(checkpoint, context, CANDIDATES)
    plain = [plain_scores(checkpoint, context, text) for text in CANDIDATES]
    assert scores.next_utterance is not None
    assert scores.next_utterance == pytest.approx([choice for choice, _ in plain], abs=1e-4)
    assert scores.log_likelihood == pytest.approx([-loss for _, loss in plain], abs=1e-4)
    assert max(scores.next_utterance) - min(scores.next_utterance) > 0.01


@every_format
def test_the_context_runs_once_for_all_candidates(name: str) -> None:
    checkpoint = tiny_checkpoint(name)
    ran: list[int] = []
    final: torch.nn.Module = checkpoint.model.transformer.ln_f
    final.register_forward_hook(lambda _, __, output: ran.append(output.shape[:2].numel()))
    score_candidates(checkpoint, LONGER, CANDIDATES)
    prompt = len(checkpoint.chat_format.encode(LONGER, None, POSITIONS).input_ids)
    assert len(ran) == 2
    assert prompt - 6 <= ran[0] <= prompt
    longest = max(len(checkpoint.chat_format.text_ids(text)) for text in CANDIDATES)
    assert ran[1] <= len(CANDIDATES) * (longest + 8)


@every_format
def test_likelihoods_are_transformers_loss(name: str) -> None:
    checkpoint = tiny_checkpoint(name)
    pairs = [(FULL, "네"), (SHORT, CANDIDATES[3]), (LONGER, CANDIDATES[0]), (SHORT, "네")]
    examples = [TrainingExample(context, reply) for context, reply in pairs]
    for batch_size in (1, 3):
        found = reply_likelihoods(checkpoint, examples, batch_size)
        means = [likelihood.nats / likelihood.tokens for likelihood in found]
        assert means == pytest.approx([plain_scores(checkpoint, *pair)[1] for pair in pairs], abs=1e-4)
        assert all(likelihood.complete for likelihood in found)
    tokens = [len(checkpoint.chat_format.text_ids(reply)) + 1 for _, reply in pairs]
    assert [likelihood.tokens for likelihood in found] == tokens


def test_a_reply_longer_than_the_model_takes_is_told_apart() -> None:
    checkpoint = tiny_checkpoint()
    examples = [TrainingExample(SHORT, "떡볶이 김밥 순대 " * 30), TrainingExample(SHORT, "네")]
    assert [likelihood.complete for likelihood in reply_likelihoods(checkpoint, examples, 2)] == [False, True]


def test_scores_that_are_not_numbers_are_refused() -> None:
    checkpoint = tiny_checkpoint()
    with torch.no_grad():
        checkpoint.model.transformer.wpe.weight.fill_(float("nan"))
    with pytest.raises(BadCheckpoint, match="'tiny' gives scores that are not numbers"):
        reply_likelihoods(checkpoint, [TrainingExample(SHORT, "네")], 1)
    with pytest.raises(BadCheckpoint, match="'tiny' gives scores that are not numbers"):
        score_candidates(checkpoint, SHORT, ["네", "응"])


def generated_by_transformers(checkpoint: Checkpoint, context: DialogueContext, sampling: Sampling) -> str:
    """The greedy reply of transformers' `generate` to one context, without padding."""
    reference: Any = GPT2LMHeadModel(checkpoint.model.config)
    reference.load_state_dict(checkpoint.model.state_dict(), strict=False)
    reference.train(False)
    prompt = checkpoint.chat_format.encode(context, None, POSITIONS - sampling.max_new_tokens)
    ids = torch.tensor([prompt.input_ids])
    output = reference.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        token_type_ids=_kinds(prompt),
        do_sample=False,
        repetition_penalty=sampling.repetition_penalty,
        max_new_tokens=sampling.max_new_tokens,
        suppress_tokens=sorted(checkpoint.chat_format.suppressed_ids),
        eos_token_id=checkpoint.chat_format.eos_id,
        pad_token_id=checkpoint.chat_format.eos_id,
    )
    return checkpoint.chat_format.decode(output[0, ids.shape[1] :].tolist())


@every_format
def test_greedy_replies_of_a_padded_batch_are_those_of_transformers(name: str) -> None:
    checkpoint = tiny_checkpoint(name)
    sampling = Sampling(temperature=0, repetition_penalty=1.3, max_new_tokens=12, candidates=1)
    contexts = [FULL, SHORT, LONGER]
    replies = generate_replies(checkpoint, contexts, sampling, batch_size=3)
    expected = [generated_by_transformers(checkpoint, context, sampling) for context in contexts]
    assert [reply.text for reply in replies] == expected
    assert len(set(expected)) > 1


def test_a_reply_ends_at_its_end_while_others_go_on() -> None:
    checkpoint = tiny_checkpoint("usr-sys")
    with torch.no_grad():
        checkpoint.model.transformer.wte.weight[checkpoint.chat_format.eos_id] *= 3
    # The penalty keeps the end from being repeated, so that something would follow it.
    sampling = Sampling(temperature=0, repetition_penalty=100, max_new_tokens=10, candidates=1)
    contexts = [SHORT, LONGER, FULL, *(said(sentence) for sentence in SENTENCES)]
    together = generate_replies(checkpoint, contexts, sampling, batch_size=len(contexts))
    assert together == generate_replies(checkpoint, contexts, sampling, batch_size=1)
    assert {reply.finish for reply in together} == {Finish.STOP, Finish.LENGTH}


def sampled(checkpoint: Checkpoint, seed: int | None) -> list[str]:
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1, max_new_tokens=16, candidates=1, seed=seed)
    return [reply.text for reply in generate_replies(checkpoint, [SHORT, LONGER], sampling)]


def test_a_seed_gives_the_same_replies_and_leaves_torch_alone() -> None:
    checkpoint = tiny_checkpoint()
    state = torch.get_rng_state()
    first = sampled(checkpoint, 1)
    assert sampled(checkpoint, 1) == first
    assert sampled(checkpoint, 2) != first
    assert sampled(checkpoint, None) != sampled(checkpoint, None)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_k": 0, "top_p": 1e-6}, {"temperature": 1e-4}])
def test_sampling_from_the_likeliest_alone_is_greedy(narrow: dict[str, Any]) -> None:
    checkpoint = tiny_checkpoint()
    greedy = Sampling(temperature=0, max_new_tokens=12, candidates=1)
    drawn = Sampling(**{"temperature": 3.0, "max_new_tokens": 12, "candidates": 1, "seed": 5} | narrow)
    assert generate_replies(checkpoint, [SHORT, FULL], drawn) == generate_replies(checkpoint, [SHORT, FULL], greedy)


def only_says(checkpoint: Checkpoint, token: int) -> Checkpoint:
    """`checkpoint` made to find `token` the likeliest wherever it stands."""
    with torch.no_grad():
        checkpoint.model.transformer.wte.weight[token] *= 10
        checkpoint.model.transformer.ln_f.weight.zero_()
        checkpoint.model.transformer.ln_f.bias.copy_(checkpoint.model.transformer.wte.weight[token])
    return checkpoint


def written(checkpoint: Checkpoint, contexts: Sequence[DialogueContext]) -> list[tuple[str, Finish]]:
    sampling = Sampling(temperature=0, repetition_penalty=1, max_new_tokens=5, candidates=1)
    return [(reply.text, reply.finish) for reply in generate_replies(checkpoint, contexts, sampling)]


def test_how_a_reply_ended_is_told() -> None:
    checkpoint = tiny_checkpoint()
    assert written(only_says(tiny_checkpoint(), checkpoint.chat_format.eos_id), [SHORT]) == [("", Finish.STOP)]
    word = checkpoint.chat_format.text_ids("안녕")[0]
    text = checkpoint.chat_format.decode([word] * 5)
    assert written(only_says(checkpoint, word), [SHORT]) == [(text, Finish.LENGTH)]


def test_padding_is_no_text_that_a_repetition_could_repeat() -> None:
    checkpoint = only_says(plain_gpt2(), 0)
    sampling = Sampling(temperature=0, repetition_penalty=1000, max_new_tokens=1, candidates=1)
    assert [reply.text for reply in generate_replies(checkpoint, [SHORT, LONGER], sampling)] == ["!", "!"]


def plain_gpt2() -> Checkpoint:
    """A checkpoint whose tokenizer, as GPT-2's own, has no padding and gives the id 0 to "!"."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(SENTENCES, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")  # type: ignore[no-untyped-call]
    chat_format = get_format("dialogpt", tokenizer)
    return Checkpoint(seeded_model(tokenizer, POSITIONS), tokenizer, chat_format, Manifest("plain", "dialogpt"))


def test_a_reply_holds_no_structure() -> None:
    checkpoint = tiny_checkpoint()
    forbidden = min(checkpoint.chat_format.suppressed_ids)
    word = checkpoint.chat_format.text_ids("안녕")[0]
    only_says(checkpoint, forbidden)
    with torch.no_grad():
        embeddings = checkpoint.model.transformer.wte.weight
        embeddings[word] = embeddings[forbidden] / 2
    assert written(checkpoint, [SHORT]) == [(checkpoint.chat_format.decode([word] * 5), Finish.LENGTH)]


def test_morphemes_come_without_punctuation() -> None:
    split = morpheme_splitter()
    assert split(["밥 먹었어요?! OK…", "", "ㅋㅋ"]) == [["밥", "먹", "었", "어요", "ok"], [], ["ㅋㅋ"]]
