"""`python -m training.encoder_decoder`: the classic Transformer chatbot as a baseline, on question-answer pairs.

An encoder reads what was said last, a decoder writes the reply (Vaswani et al. 2017; BART's layout without its
pretraining). It sees the same dialogues, tokenizer, speech-level mark and number of tokens as the decoder-only model it
is compared with; `python -m training.evaluate --encoder-decoder` measures both in one table.
"""

from __future__ import annotations

import math
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Self, cast

import torch
import typer
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from model.chat_format import ChatFormat, get_format
from model.dialogue import Candidate, DialogueContext, Finish, Sampling, Source
from model.errors import BadCheckpoint
from model.files import replace_folder, write_json
from model.gpt2 import IGNORED, parameter_count
from model.tokenizer import load_tokenizer
from training import options
from training.corpora import load_dialogues
from training.errors import BadOption
from training.examples import examples_of
from training.scoring import Likelihood

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

LEARNT = "encoder_decoder.json"
_MAX_TOKENS = 64
LONGEST_REPLY = 2 * _MAX_TOKENS  # the decoder's positions
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Pair:
    """One question and its answer, as ids. `complete` is False where the answer was cut."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is kept beside the weights; `tokens` is how many were seen, the questions' too."""

    parameters: int
    tokens: int


def as_pair(chat_format: ChatFormat, context: DialogueContext, reply: str) -> Pair:
    """The speech level and the last turn as the question, the reply and its end as the answer."""
    head = chat_format.head(DialogueContext(speech_level=context.speech_level)).ids
    asked = chat_format.text_ids(context.turns[-1].text)[-_MAX_TOKENS:]
    answer = chat_format.text_ids(reply)
    kept = answer[: _MAX_TOKENS - 1]
    return Pair((*head, *asked), (*kept, chat_format.eos_id), complete=len(kept) == len(answer))


class Baseline:
    """The model, its tokenizer's format, and what is done with them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, model: BartForConditionalGeneration) -> None:
        self.tokenizer, self.model = tokenizer, model
        self.chat_format = get_format("malbeot", tokenizer)
        self.pad = _pad_id(tokenizer, self.chat_format)

    @classmethod
    def new(cls, tokenizer_folder: Path, width: int, layers: int) -> Self:
        """Random weights, `layers` each of encoder and decoder. Raises BadCheckpoint without a usable tokenizer."""
        tokenizer = load_tokenizer(tokenizer_folder)
        chat_format = get_format("malbeot", tokenizer)
        bos = chat_format.eos_id if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
        config = BartConfig(
            vocab_size=len(tokenizer),
            d_model=width,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=4 * width,
            decoder_ffn_dim=4 * width,
            max_position_embeddings=LONGEST_REPLY,
            pad_token_id=_pad_id(tokenizer, chat_format),
            bos_token_id=bos,
            eos_token_id=chat_format.eos_id,
            decoder_start_token_id=bos,
            forced_eos_token_id=None,
        )
        return cls(tokenizer, BartForConditionalGeneration(config))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote, on the CPU. Raises BadCheckpoint where it did not, or the files are broken."""
        if not (folder / LEARNT).is_file():
            raise BadCheckpoint(
                f"{folder}: holds no encoder-decoder; give what python -m training.encoder_decoder --out FOLDER wrote."
            )
        return cls(load_tokenizer(folder), _load_weights(folder))

    def save(self, folder: Path, tokens: int) -> None:
        """Write weights, tokenizer and `Learnt` so that `folder` appears whole or not at all, replacing an earlier one.

        `tokens`: how many were seen.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            self.model.save_pretrained(str(partial))
            self.tokenizer.save_pretrained(str(partial))
            write_json(partial / LEARNT, asdict(Learnt(parameter_count(self.model), tokens)))
            replace_folder(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def collate(self, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        """Padded batch of `pairs`."""
        sources = [torch.tensor(pair.source) for pair in pairs]
        targets = [torch.tensor(pair.target) for pair in pairs]
        ids = pad_sequence(sources, batch_first=True, padding_value=self.pad)
        mask = pad_sequence([torch.ones_like(source) for source in sources], batch_first=True)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": pad_sequence(targets, batch_first=True, padding_value=IGNORED),
        }

    def train(self, pairs: Sequence[Pair], tokens: int, out: Path, seed: int) -> int:
        """Learn until about `tokens` were seen; returns how many that was."""
        mean = sum(len(pair.source) + len(pair.target) for pair in pairs) / len(pairs)
        steps = max(1, round(tokens / mean / min(_BATCH, len(pairs))))
        arguments = TrainingArguments(
            output_dir=str(out),
            max_steps=steps,
            per_device_train_batch_size=_BATCH,
            learning_rate=1.5e-3,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            weight_decay=0.01,
            logging_steps=50,
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            use_cpu=not torch.cuda.is_available(),
            seed=seed,
        )
        Trainer(model=self.model, args=arguments, train_dataset=list(pairs), data_collator=self.collate).train()
        # An epoch's last batch is smaller.
        epochs, rest = divmod(steps, math.ceil(len(pairs) / _BATCH))
        return round((epochs * len(pairs) + rest * _BATCH) * mean)

    def likelihoods(self, pairs: Sequence[Pair], batch_size: int = _BATCH) -> list[Likelihood]:
        """Of each answer and its end, in the order given. Raises BadCheckpoint when they are not numbers."""
        self.model.train(False)
        found: list[Likelihood] = []
        with torch.no_grad():
            for start in range(0, len(pairs), batch_size):
                rows = pairs[start : start + batch_size]
                batch = self.collate(rows)
                logits = self.model(**batch).logits
                losses = cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none", ignore_index=IGNORED)
                nats = losses.double().sum(-1).tolist()
                found += [Likelihood(loss, len(row.target), row.complete) for loss, row in zip(nats, rows, strict=True)]
        if not all(math.isfinite(likelihood.nats) for likelihood in found):
            raise BadCheckpoint("The encoder-decoder gives scores that are not numbers; train it again.")
        return found

    def write(
        self, contexts: Sequence[DialogueContext], sampling: Sampling, batch_size: int = _BATCH
    ) -> list[Candidate]:
        """One reply to each context, in the order given; the same for the same seed and batch size."""
        self.model.train(False)
        torch.manual_seed(sampling.seed or 0)
        written: list[Candidate] = []
        for start in range(0, len(contexts), batch_size):
            batch = self.collate([as_pair(self.chat_format, c, "") for c in contexts[start : start + batch_size]])
            rows = self.model.generate(  # type: ignore[misc]  # transformers types its self as a protocol
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                do_sample=True,
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                repetition_penalty=sampling.repetition_penalty,
                max_new_tokens=sampling.max_new_tokens,
            )
            written += [self._candidate(row.tolist()[1:]) for row in rows]
        return written

    def _candidate(self, ids: list[int]) -> Candidate:
        end = self.chat_format.eos_id
        finish = Finish.STOP if end in ids else Finish.LENGTH
        kept = ids[: ids.index(end)] if end in ids else ids
        return Candidate(self.chat_format.decode(kept), Source.GENERATOR, finish)


def _pad_id(tokenizer: PreTrainedTokenizerFast, chat_format: ChatFormat) -> int:
    return chat_format.eos_id if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)


def _load_weights(folder: Path) -> BartForConditionalGeneration:
    try:
        loaded: Any = BartForConditionalGeneration.from_pretrained(
            str(folder), dtype=torch.float32, output_loading_info=True, local_files_only=True
        )
    except Exception as error:  # transformers, safetensors and torch each raise their own kinds for a broken file
        kind = type(error).__name__
        raise BadCheckpoint(f"{folder}: the weights cannot be read ({kind}); train it again.") from error
    model, report = loaded
    if report["missing_keys"]:  # transformers draws these at random
        raise BadCheckpoint(f"{folder}: the weights lack {len(report['missing_keys'])} parts; train it again.")
    return cast(BartForConditionalGeneration, model)


def _check_out(out: Path) -> None:
    """Refuse a place that holds something else, before minutes of training."""
    if out.exists() and not (out / LEARNT).is_file():
        raise BadOption(f"{out} is there already and is no encoder-decoder; give a folder that is not there yet.")


@app.command()
def main(
    train: Annotated[list[str], typer.Option(help="Dialogues to learn from, as training.finetune takes them.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder with the tokenizer.json to use.")],
    out: Annotated[Path, typer.Option(help="Folder to write, for training.evaluate --encoder-decoder.")],
    tokens: Annotated[int, typer.Option(help="Tokens to see in all.")] = 3_000_000,
    width: Annotated[int, typer.Option()] = 256,
    layers: Annotated[int, typer.Option(help="Of the encoder, and of the decoder.")] = 2,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the baseline."""
    with options.plain_errors():
        _check_out(out)
        set_seed(seed)
        dialogues = load_dialogues(train).dialogues
        baseline = Baseline.new(tokenizer, width, layers)
        pairs = [
            as_pair(baseline.chat_format, example.context, example.reply)
            for dialogue in dialogues
            for example in examples_of(dialogue)
        ]
        random.Random(seed).shuffle(pairs)
        with tempfile.TemporaryDirectory() as scratch:  # the Trainer wants a folder, and is told to leave nothing in it
            seen = baseline.train(pairs, tokens, Path(scratch), seed)
        baseline.save(out, seen)
        print(f"{out}: {parameter_count(baseline.model):,} parameters, {seen:,} tokens seen.")


if __name__ == "__main__":
    app()
