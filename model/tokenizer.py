"""Train, load and save tokenizers.

Ours is a byte-level BPE (Radford et al. 2019): any text, emoji included, has ids and comes back unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from model.errors import BadCheckpoint
from model.text import clean_text

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"
PERSONA, USER, BOT = "<persona>", "<user>", "<bot>"
HAEYO, BANMAL = "<haeyo>", "<banmal>"
# How others call these tokens, where their files do not say (KoGPT2's is a bare tokenizer.json).
_USUAL_NAMES = {
    "bos_token": ("</s>", "<|endoftext|>", BOS),
    "eos_token": ("</s>", "<|endoftext|>", EOS),
    "unk_token": (UNK,),
    "pad_token": (PAD,),
    "mask_token": ("<mask>",),
}
SPECIAL_TOKENS = (PAD, UNK, BOS, EOS, PERSONA, USER, BOT, HAEYO, BANMAL)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 8000) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of `vocab_size` entries, special tokens included, from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_cleaned(texts), trainer=trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        pad_token=PAD,
        additional_special_tokens=[PERSONA, USER, BOT, HAEYO, BANMAL],
        clean_up_tokenization_spaces=False,
    )


def _cleaned(texts: Iterable[str]) -> Iterator[str]:
    return (clean_text(text) for text in texts)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a fast tokenizer from a checkpoint folder, ours or any GPT-2's. Raises BadCheckpoint."""
    if not (folder / "tokenizer.json").exists() and not (folder / "vocab.json").exists():
        raise BadCheckpoint(f"{folder}: a fast tokenizer (tokenizer.json, or vocab.json and merges.txt) is needed.")
    try:
        return _read_tokenizer(folder)
    except Exception as error:  # the tokenizers library raises bare Exception for a broken file
        raise BadCheckpoint(f"{folder}: the tokenizer cannot be read ({_first_line(error)}).") from error


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    if not (folder / "tokenizer.json").exists():
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(str(folder), local_files_only=True))
    # Not AutoTokenizer: for a GPT-2 that takes every tokenizer.json for a byte-level one, and KoGPT2's is none.
    if (folder / "tokenizer_config.json").exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    else:
        path = str(folder / "tokenizer.json")
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=path)  # type: ignore[no-untyped-call]
    vocabulary = tokenizer.get_vocab()
    for role, names in _USUAL_NAMES.items():
        named = next((name for name in names if name in vocabulary), None)
        if getattr(tokenizer, role) is None and named is not None:
            setattr(tokenizer, role, named)
    return cast(PreTrainedTokenizerFast, tokenizer)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
