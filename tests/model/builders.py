"""Folders in the layout of public GPT-2 checkpoints, with tiny random weights and synthesized vocabularies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from hypothesis import settings
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from model.dialogue import Role, Turn
from model.tokenizer import SPECIAL_TOKENS, train_tokenizer
from tests.model.conftest import TEXTS

# The same examples in every run, and no clock: a busy machine is no failure.
repeatable = settings(deadline=None, derandomize=True, database=None)

KOGPT2_SPECIAL = ("<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>", "<d>", "</d>")
KOGPT2_UNUSED = tuple(f"<unused{number}>" for number in range(100))
KOGPT2_SIZE, DIALOGPT_SIZE = 51200, 50257
END_OF_TEXT = "<|endoftext|>"

# What both families of files say beside their sizes.
_COMMON_CONFIG: dict[str, Any] = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 16,
    "n_head": 2,
    "n_layer": 2,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
}


def user_last(*texts: str) -> tuple[Turn, ...]:
    """Turns in alternation, so that the user's comes last."""
    return tuple(Turn(Role.USER if (len(texts) - number) % 2 else Role.BOT, text) for number, text in enumerate(texts))


def with_tokens(tokenizer: PreTrainedTokenizerFast, tokens: Iterable[str]) -> PreTrainedTokenizerFast:
    """`tokenizer` with `tokens` added as special ones."""
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
    return tokenizer


def bare_tokenizer(*tokens: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of others, with an end token and `tokens`."""
    backend = train_tokenizer(TEXTS, vocab_size=300).backend_tokenizer
    renamed = backend.to_str()
    for token in SPECIAL_TOKENS:
        renamed = renamed.replace(f'"{token}"', f'"[{token[1:-1]}]"')
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=type(backend).from_str(renamed), eos_token="[eos]"
    )
    return with_tokens(tokenizer, tokens)


def kogpt2_tokenizer() -> Tokenizer:
    """As skt/kogpt2-base-v2: a BPE over characters, spaces as ▁, 51,200 entries, most of them never reached here."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace()
    learnt.train_from_iterator(TEXTS * 4, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    pieces, merges = _learnt(learnt)
    vocabulary = _numbered([*KOGPT2_SPECIAL, *KOGPT2_UNUSED, *pieces], KOGPT2_SIZE)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*KOGPT2_SPECIAL, *KOGPT2_UNUSED])
    return tokenizer


def make_kogpt2(folder: Path, weights: str = "pytorch_model.bin") -> Path:
    """A folder laid out as skt/kogpt2-base-v2: tokenizer.json is all there is of its tokenizer."""
    folder.mkdir(parents=True)
    kogpt2_tokenizer().save(str(folder / "tokenizer.json"))
    config = _COMMON_CONFIG | {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3, "vocab_size": KOGPT2_SIZE}
    config |= {"_num_labels": 1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    _write_json(folder / "config.json", config)
    state = _random_state(config)
    if weights.endswith(".safetensors"):
        del state["lm_head.weight"]  # the same memory as wte, which safetensors writes once
        save_file(state, str(folder / weights), metadata={"format": "pt"})
    else:
        torch.save(state, folder / weights)
    return folder


def make_dialogpt(folder: Path) -> Path:
    """A folder laid out as microsoft/DialoGPT-*: byte-level vocab.json and merges.txt, an old pytorch_model.bin."""
    folder.mkdir(parents=True)
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    learnt.train_from_iterator(TEXTS * 4, trainer)
    pieces, merges = _learnt(learnt)
    vocabulary = _numbered(pieces, DIALOGPT_SIZE - 1) | {END_OF_TEXT: DIALOGPT_SIZE - 1}
    _write_json(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    config = _COMMON_CONFIG | {"bos_token_id": 50256, "eos_token_id": 50256, "vocab_size": DIALOGPT_SIZE}
    _write_json(folder / "config.json", config | {"task_specific_params": {"conversational": {"max_length": 1000}}})
    state = _random_state(config)
    for layer in range(2):
        state[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 1024, 1024, dtype=torch.uint8).tril()
        state[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-10000.0)
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return folder


def _learnt(tokenizer: Tokenizer) -> tuple[list[str], list[tuple[str, str]]]:
    """The entries of a trained BPE in their order, and its merges."""
    vocabulary = tokenizer.get_vocab()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return sorted(vocabulary, key=lambda piece: vocabulary[piece]), [(left, right) for left, right in merges]


def _numbered(entries: list[str], size: int) -> dict[str, int]:
    """`entries` and as many made up as it takes to have `size`; no merge leads to those."""
    filling = [f"[{number}]" for number in range(size - len(entries))]
    return {entry: number for number, entry in enumerate([*entries, *filling])}


def _random_state(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(GPT2LMHeadModel(GPT2Config(**config)).state_dict())


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
