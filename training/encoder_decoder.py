"""`python -m training.encoder_decoder`: the classic Transformer chatbot as a baseline, on question-answer pairs.

An encoder reads what was said last, a decoder writes the reply (Vaswani et al. 2017; BART's layout without its
pretraining). It sees the same dialogues, tokenizer, speech-level mark and number of tokens as the decoder-only model it
is compared with, and is measured by the same functions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import BartConfig, BartForConditionalGeneration, Trainer, TrainingArguments, set_seed

from model.chat_format import ChatFormat, get_format
from model.dialogue import Candidate, DialogueContext, Finish, Sampling, Source
from model.files import write_json
from model.gpt2 import IGNORED, parameter_count
from model.text import clean_text
from model.tokenizer import load_tokenizer
from training import metrics, options
from training.corpora import load_dialogues
from training.evaluate import sampled_examples
from training.examples import TrainingExample, examples_of
from training.scoring import morpheme_splitter

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MAX_TOKENS = 64
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Pair:
    """One question and its answer, as ids."""

    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the baseline is measured by (see `training.metrics`); `tokens` is how many it saw, the question's too."""

    parameters: int
    tokens: int
    bits_per_character: float
    hits_at_1_lm: float
    f1: float
    distinct_2: float
    cut_by_limit: float
    speech_level_consistency: float | None


def as_pair(chat_format: ChatFormat, context: DialogueContext, reply: str) -> Pair:
    """The speech level and the last turn as the question, the reply and its end as the answer."""
    head = chat_format.head(DialogueContext(speech_level=context.speech_level)).ids
    asked = chat_format.text_ids(context.turns[-1].text)[-_MAX_TOKENS:]
    answer = chat_format.text_ids(reply)[: _MAX_TOKENS - 1]
    return Pair((*head, *asked), (*answer, chat_format.eos_id))


class Baseline:
    """The model, its tokenizer's format, and what is done with them."""

    def __init__(self, tokenizer_folder: Path, width: int, layers: int) -> None:
        tokenizer = load_tokenizer(tokenizer_folder)
        self.chat_format = get_format("malbeot", tokenizer)
        end = self.chat_format.eos_id
        self.pad = end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        bos = end if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
        config = BartConfig(
            vocab_size=len(tokenizer),
            d_model=width,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=4 * width,
            decoder_ffn_dim=4 * width,
            max_position_embeddings=2 * _MAX_TOKENS,
            pad_token_id=self.pad,
            bos_token_id=bos,
            eos_token_id=self.chat_format.eos_id,
            decoder_start_token_id=bos,
            forced_eos_token_id=None,
        )
        self.model = BartForConditionalGeneration(config)

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

    def nats(self, pairs: Sequence[Pair]) -> list[tuple[float, int]]:
        """Negative log likelihood of each answer, and its tokens."""
        self.model.train(False)
        found: list[tuple[float, int]] = []
        with torch.no_grad():
            for start in range(0, len(pairs), 64):
                batch = self.collate(pairs[start : start + 64])
                logits = self.model(**batch).logits
                losses = cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none", ignore_index=IGNORED)
                tokens = (batch["labels"] != IGNORED).sum(-1)
                found += [(float(loss), int(count)) for loss, count in zip(losses.sum(-1), tokens, strict=True)]
        return found

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        """One reply to each context."""
        self.model.train(False)
        torch.manual_seed(sampling.seed or 0)
        written: list[Candidate] = []
        for start in range(0, len(contexts), 64):
            batch = self.collate([as_pair(self.chat_format, c, "") for c in contexts[start : start + 64]])
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


def measure(baseline: Baseline, data: Path, examples: int, seed: int, tokens: int) -> Figures:
    """The baseline on the dialogues of `data`, on the same examples and distractors as `training.evaluate` takes."""
    every = [example for dialogue in load_dialogues([str(data)]).dialogues for example in examples_of(dialogue)]
    scored = baseline.nats([as_pair(baseline.chat_format, e.context, e.reply) for e in every])
    sampled = sampled_examples(every, data, examples, seed)
    replies = baseline.write([example.context for example in sampled], Sampling(candidates=1, seed=seed))
    texts, true = [reply.text for reply in replies], [example.reply for example in sampled]
    split = morpheme_splitter()
    morphemes = split(texts)
    characters = sum(len(clean_text(example.reply)) for example in every)
    return Figures(
        parameters=parameter_count(baseline.model),
        tokens=tokens,
        bits_per_character=metrics.bits_per_character(sum(nats for nats, _ in scored), characters),
        hits_at_1_lm=metrics.hits_at_1([_ranked(baseline, example) for example in sampled]),
        f1=metrics.mean_f1(morphemes, split(true)),
        distinct_2=metrics.distinct(morphemes, 2),
        cut_by_limit=sum(reply.finish is Finish.LENGTH for reply in replies) / len(replies),
        speech_level_consistency=metrics.speech_level_consistency(texts, [e.context.speech_level for e in sampled]),
    )


def _ranked(baseline: Baseline, example: TrainingExample) -> list[float]:
    candidates = (example.reply, *example.distractors)
    scored = baseline.nats([as_pair(baseline.chat_format, example.context, text) for text in candidates])
    return [-nats / tokens for nats, tokens in scored]


@app.command()
def main(
    train: Annotated[list[str], typer.Option(help="Dialogues to learn from, as training.finetune takes them.")],
    data: Annotated[Path, typer.Option(help="Dialogues to measure on.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder with the tokenizer.json to use.")],
    out: Annotated[Path, typer.Option("--json", help="File to write the figures to.")],
    tokens: Annotated[int, typer.Option(help="Tokens to see in all.")] = 3_000_000,
    width: Annotated[int, typer.Option()] = 256,
    layers: Annotated[int, typer.Option(help="Of the encoder, and of the decoder.")] = 2,
    examples: Annotated[int, typer.Option(min=0)] = 500,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the baseline and measure it."""
    with options.plain_errors():
        set_seed(seed)
        dialogues = load_dialogues(train).dialogues
        baseline = Baseline(tokenizer, width, layers)
        pairs = [
            as_pair(baseline.chat_format, example.context, example.reply)
            for dialogue in dialogues
            for example in examples_of(dialogue)
        ]
        random.Random(seed).shuffle(pairs)
        seen = baseline.train(pairs, tokens, out.with_suffix(".run"), seed)
        figures = measure(baseline, data, examples, seed, seen)
        write_json(out, asdict(figures))
        print(f"{figures}")


if __name__ == "__main__":
    app()
