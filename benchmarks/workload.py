"""The work that is measured: prompts of an exact length, and models that never end a reply by themselves."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.errors import BenchmarkError
from model import checkpoint as checkpoints
from model.chat_format import ChatFormat, get_format
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, Role, Sampling, SpeechLevel, Turn
from model.gpt2 import Shape, new_model
from model.manifest import Manifest
from model.tokenizer import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "model" / "default"
KOGPT2 = Shape(layers=12, width=768, heads=12, positions=1024)
KOGPT2_VOCABULARY = 51200
# Prompts are made of so many different words.
_WORDS = 2000
# The logit of an end token that must not come is below minus this, far under what fifty others have.
_FAR = 50.0
_HANGUL = re.compile("[가-힣]+")
_FIRST_SYLLABLE, _SYLLABLES = 0xAC00, 11172


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes of what is asked; the figures of a run compare only with runs of the same sizes.

    `growth`: tokens a second turn adds beside the answer. `persona_tokens`: how much of a prompt 32 warm chats share.
    `chats`: single chats a round, of which the median counts.
    """

    prompt_tokens: int = 128
    new_tokens: int = 32
    growth: int = 16
    persona_tokens: int = 64
    few: int = 8
    many: int = 32
    candidates: int = 4
    chats: int = 3

    @property
    def second_tokens(self) -> int:
        """Length of a second turn's prompt."""
        return self.prompt_tokens + self.new_tokens + self.growth

    def sampling(self, candidates: int = 1, new_tokens: int | None = None, seed: int = 0) -> Sampling:
        """The decoding everyone uses: plain top-k 50 and top-p 0.9."""
        return Sampling(
            temperature=1.0,
            top_k=50,
            top_p=0.9,
            repetition_penalty=1.0,
            max_new_tokens=new_tokens or self.new_tokens,
            candidates=candidates,
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request: as our engine takes it, and as the ids that our encoder makes of it, for everyone else."""

    context: DialogueContext
    ids: tuple[int, ...]


class Prompts:
    """Makes prompts of random words, each word one token; the same ones after the same `restart`."""

    def __init__(self, chat_format: ChatFormat, positions: int, workload: Workload) -> None:
        self._format = chat_format
        self._positions = positions
        self._workload = workload
        self._words = list(itertools.islice(_single_token_words(chat_format), _WORDS))
        self._random = random.Random(0)

    def restart(self, seed: str) -> None:
        """Go on with the prompts of `seed`."""
        self._random = random.Random(seed)

    def line(self, words: int) -> str:
        """Something to say, a token a word."""
        return " ".join(self._random.choices(self._words, k=words))

    def first(self, count: int, shared_persona: bool = False) -> list[Prompt]:
        """`count` prompts with nothing in common, or with nothing but their persona."""
        persona = (self.line(self._workload.persona_tokens),) if shared_persona else ()
        blank = DialogueContext(persona, (Turn(Role.USER, ""),), SpeechLevel.HAEYO)
        return [self._filled(blank, self._workload.prompt_tokens) for _ in range(count)]

    def second(self, prompt: Prompt, answer: str) -> Prompt:
        """The conversation's next turn, of the same length whatever the answer."""
        turns = (*prompt.context.turns, Turn(Role.BOT, answer), Turn(Role.USER, ""))
        grown = self._filled(replace(prompt.context, turns=turns), self._workload.second_tokens)
        if grown.ids[: len(prompt.ids)] != prompt.ids:
            raise BenchmarkError("An answer is too long for the conversation to go on; make the second turn longer.")
        return grown

    def _filled(self, context: DialogueContext, tokens: int) -> Prompt:
        """`context` with so many words in its last, empty turn that its prompt has `tokens` ids."""
        missing = tokens - len(self._ids(context))
        if missing < 1:
            raise BenchmarkError(f"A prompt of {tokens} tokens has no room for what it must hold; make it longer.")
        turns = (*context.turns[:-1], Turn(Role.USER, self.line(missing)))
        filled = replace(context, turns=turns)
        return Prompt(filled, self._ids(filled))

    def _ids(self, context: DialogueContext) -> tuple[int, ...]:
        return self._format.encode(context, None, self._positions - self._workload.new_tokens).input_ids


def _single_token_words(chat_format: ChatFormat) -> Iterator[str]:
    vocabulary = sorted(chat_format.tokenizer.get_vocab().values())
    for token in vocabulary:
        word = chat_format.decode([token])
        if _HANGUL.fullmatch(word) and chat_format.text_ids(word) == [token]:
            yield word


def random_checkpoint(shape: Shape, vocabulary: int) -> Checkpoint:
    """A checkpoint of our format with random weights and a vocabulary of made-up words; the same each time."""
    tokenizer = _word_tokenizer(vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = new_model(tokenizer, shape)
    name = f"random-{shape.layers}x{shape.width}x{vocabulary}x{shape.positions}"
    return Checkpoint(model, tokenizer, get_format("malbeot", tokenizer), Manifest(version=name, format="malbeot"))


def _word_tokenizer(size: int) -> PreTrainedTokenizerFast:
    words = itertools.islice(map(_made_up_word, itertools.count()), size - len(SPECIAL_TOKENS))
    entries = {word: number for number, word in enumerate([*SPECIAL_TOKENS, *words])}
    tokenizer = Tokenizer(models.WordLevel(entries, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = [PAD, UNK, BOS, EOS]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in named],
        clean_up_tokenization_spaces=False,
    )


def _made_up_word(number: int) -> str:
    """One syllable, or two once those are used up."""
    block, syllable = divmod(number, _SYLLABLES)
    word = chr(_FIRST_SYLLABLE + syllable)
    return word if block == 0 else word + chr(_FIRST_SYLLABLE + block)


def never_ending(checkpoint: Checkpoint) -> Checkpoint:
    """Change the weights so that the end token is never among the likely ones, for every system alike.

    A constant is added to the last hidden state along the direction in which the embeddings differ least, so that
    the other tokens keep their order as nearly as may be; the end token's embedding points far the other way.
    """
    transformer = checkpoint.model.transformer
    embeddings, norm = transformer.wte.weight.data, transformer.ln_f
    end = checkpoint.chat_format.eos_id
    direction = torch.linalg.eigh(embeddings.double().T @ embeddings.double()).eigenvectors[:, 0].to(embeddings)
    # A normalised state is no longer than sqrt(width), so its part along the direction stays below this.
    reach = norm.weight.abs().max() * embeddings.shape[1] ** 0.5 + norm.bias.norm()
    norm.bias.data += (reach + 1) * direction
    embeddings[end] = -_FAR * direction
    return checkpoint


def save_model(shape: str, folder: Path) -> Path:
    """The checkpoint of a benchmark's `shape` (default or kogpt2), unable to end a reply, written to `folder`."""
    default = shape == "default"
    checkpoint = checkpoints.load(DEFAULT_MODEL) if default else random_checkpoint(KOGPT2, KOGPT2_VOCABULARY)
    checkpoints.save(never_ending(checkpoint), folder)
    return folder
