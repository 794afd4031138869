from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from model import checkpoint as checkpoints
from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Finish, Role, Sampling, Source, Turn
from model.files import sha256
from tests.training.test_scoring import tiny_checkpoint
from training import evaluate as command
from training import measured
from training.corpora import write_dialogues
from training.encoder_decoder import Baseline
from training.errors import BadData, BadOption
from training.evaluate import MEASURES, Evaluation, Settings, app, evaluate, evaluate_all, served_ranker
from training.examples import Dialogue, TrainingExample, examples_of
from training.measured import Measured, MeasuredCheckpoint, MeasuredEncoderDecoder, MeasuredRetrieval
from training.scoring import CandidateScores, reply_likelihoods

FOODS = ["떡볶이", "김밥", "순대", "라면", "냉면"]
PLACES = ["집", "학교", "시장", "바다", "공원"]


def reply_to(question: str) -> str:
    return question.replace("먹었어?", "먹었어요.")


def dialogues(count: int) -> list[Dialogue]:
    """Up to 25 dialogues of one reply each, all different."""
    questions = [f"{place}에서 {food} 먹었어?" for place in PLACES for food in FOODS][:count]
    return [
        Dialogue((Turn(Role.USER, question), Turn(Role.BOT, reply_to(question))), ("나는 유희다.",))
        for question in questions
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    write_dialogues(dialogues(25), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoints.save(tiny_checkpoint(), tmp_path / "tiny")
    return tmp_path / "tiny"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_the_command_writes_every_measure(data: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    where: list[str | Path] = ["--model", folder, "--data", data, "--json", out, "--train", data]
    result = run(*where, "--examples", "6", "--max-new-tokens", "8", "--seed", "3", "--batch-size", "4")
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in MEASURES)
    systems: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert list(systems) == ["systems"]
    assert list(systems["systems"]) == ["tiny"]
    found = systems["systems"]["tiny"]
    about = found.pop("about")
    assert set(found) == set(MEASURES) == {field.name for field in fields(Evaluation)} - {"about"}
    assert found["examples"] == 25
    shares = set(MEASURES) - {"examples", "perplexity", "bits_per_character", "mean_length"}
    assert all(found[name] is None or 0 <= found[name] <= 1 for name in shares)
    assert (about["model_version"], about["format"], about["seed"]) == ("tiny", "malbeot", 3)
    assert about["data_sha256"] == sha256([data])
    assert about["decoding"]["max_new_tokens"] == 8
    assert about["counts"]["ranked_examples"] == about["counts"]["generated_replies"] == 6
    assert about["counts"]["scored_replies"] == about["counts"]["training_replies"] == 25
    settings = Settings(train=(str(data),), examples=6, seed=3, batch_size=4, max_new_tokens=8)
    same = evaluate(MeasuredCheckpoint("same", checkpoints.load(folder), 4), data, settings, served_ranker())
    assert found | {"about": about} == json.loads(json.dumps(asdict(same)))


def gold_of(context: DialogueContext) -> str:
    """The reply that follows `context` in `dialogues`."""
    return reply_to(context.turns[-1].text)


@dataclass(frozen=True)
class Known(MeasuredCheckpoint):
    """A perfect next-utterance head, likelihoods that are exactly wrong, and replies of which one is; keeps its calls.

    What it makes of the true replies are those of the checkpoint.
    """

    asked: list[tuple[Sequence[DialogueContext], Sampling]] = field(default_factory=list)

    def scores(self, example: TrainingExample) -> CandidateScores:
        candidates = (example.reply, *example.distractors)
        assert len(set(candidates)) == 20
        right = tuple(float(candidate == gold_of(example.context)) for candidate in candidates)
        return CandidateScores(right, tuple(-score for score in right))

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        self.asked.append((contexts, sampling))
        cut = [Finish.LENGTH] * 5 + [Finish.STOP] * 20
        texts = [gold_of(context) for context in contexts[:-1]] + ["밥 먹었어."]
        return [Candidate(text, Source.GENERATOR, finish) for text, finish in zip(texts, cut, strict=True)]


def test_measures_of_known_replies(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TRAINING_DATA", data.parent)
    checkpoint = tiny_checkpoint()
    known = Known("known", checkpoint)
    found = evaluate(known, data, Settings(examples=0, seed=9))
    ((contexts, sampling),) = known.asked
    assert len(contexts) == 25
    assert (sampling.candidates, sampling.seed, sampling.max_new_tokens) == (1, 9, 48)
    assert found.verbatim_copies == 24 / 25
    assert found.speech_level_consistency == 24 / 25
    assert found.cut_by_limit == 5 / 25
    assert (found.hits_at_1, found.hits_at_1_lm) == (1, 0)
    # 밥 먹 었 어 against 공원 에서 냉면 먹 었 어요: 2 shared of 4 and 6; in characters 3 of 4 and 10.
    assert found.f1 == pytest.approx((24 + 0.4) / 25)
    assert found.f1_char == pytest.approx((24 + 6 / 14) / 25)
    assert 0 < found.distinct_1 < found.distinct_2 < 1
    lengths = [len(gold_of(context)) for context in contexts[:-1]] + [len("밥 먹었어.")]
    assert found.mean_length == pytest.approx(sum(lengths) / 25)
    assert_likelihoods(found, checkpoint)


def assert_likelihoods(found: Evaluation, checkpoint: Checkpoint) -> None:
    """Perplexity and bits against one reply at a time."""
    examples = [example for dialogue in dialogues(25) for example in examples_of(dialogue)]
    likelihoods = [reply_likelihoods(checkpoint, [example], 1)[0] for example in examples]
    nats = sum(likelihood.nats for likelihood in likelihoods)
    tokens = sum(len(checkpoint.chat_format.text_ids(example.reply)) + 1 for example in examples)
    assert found.perplexity == pytest.approx(math.exp(nats / tokens), rel=1e-4)
    characters = sum(len(example.reply) for example in examples)
    assert found.bits_per_character == pytest.approx(nats / math.log(2) / characters, rel=1e-4)


def without_judgement(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` with a next-utterance head to which all candidates are the same."""
    with torch.no_grad():
        head: torch.nn.Module = checkpoint.model.multiple_choice_head
        for weight in head.parameters():
            weight.zero_()
    return checkpoint


class Silent(MeasuredCheckpoint):
    """Writes nothing."""

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        return [Candidate("", Source.GENERATOR, Finish.STOP) for _ in contexts]


def test_silence_and_a_head_that_knows_nothing(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "TRAINING_DATA", tmp_path / "none")
    found = evaluate(Silent("silent", without_judgement(tiny_checkpoint())), data, Settings(examples=4))
    assert found.hits_at_1 == pytest.approx(1 / 20)
    assert (found.f1, found.f1_char, found.distinct_1, found.distinct_2, found.mean_length) == (0, 0, 0, 0, 0)
    assert found.speech_level_consistency is None
    assert found.verbatim_copies is None


def refused(result: Result, out: Path, *words: str) -> None:
    assert result.exit_code == 2
    sentence = result.stderr.strip()
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence
    assert not out.exists()


def test_what_is_missing_is_told_in_one_sentence(data: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    refused(run("--model", tmp_path / "no", "--data", data, "--json", out), out, "no such model folder")
    refused(run("--model", folder, "--data", tmp_path / "no.jsonl", "--json", out), out, "no.jsonl")
    lost = tmp_path / "no" / "out.json"
    refused(run("--model", folder, "--data", data, "--json", lost), lost, "no such folder")
    refused(run("--model", folder, "--data", data, "--json", out, "--train", "no.jsonl"), out, "no.jsonl")
    refused(run("--model", folder, "--data", data, "--json", out, "--format", "usr-sys"), out, "<usr>")
    inside = run("--model", folder, "--data", data, "--json", tmp_path)
    assert inside.exit_code == 2
    assert "is a folder" in inside.stderr


def test_fewer_than_twenty_different_replies_are_too_few(folder: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    write_dialogues([*dialogues(19), *dialogues(19)], few)
    out = tmp_path / "out.json"
    refused(run("--model", folder, "--data", few, "--json", out), out, "19 different replies", "needs 20")


def test_nothing_to_measure_is_told(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    refused(run("--data", data, "--json", out), out, "--model FOLDER", "--retrieval", "--encoder-decoder FOLDER")


def test_replies_that_no_position_is_left_for(data: Path) -> None:
    with pytest.raises(BadOption, match="ask for at most 80"):
        evaluate(MeasuredCheckpoint("tiny", tiny_checkpoint()), data, Settings(max_new_tokens=81))


def test_data_of_which_no_reply_fits(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    question = Turn(Role.USER, "뭐 했어?")
    long = [Dialogue((question, Turn(Role.BOT, f"{number}번 떡볶이 " * 40))) for number in range(25)]
    write_dialogues(long, path)
    with pytest.raises(BadData, match="every reply is longer than tiny can take"):
        evaluate(MeasuredCheckpoint("tiny", tiny_checkpoint()), path, Settings(train=(str(path),)))


def test_an_interrupt_leaves_nothing(data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> list[Candidate]:
        raise KeyboardInterrupt

    monkeypatch.setattr(measured, "generate_replies", interrupted)
    out = tmp_path / "results" / "out.json"
    out.parent.mkdir()
    result = run("--model", folder, "--data", data, "--json", out, "--train", data)
    assert result.exit_code not in {0, 2}
    assert list(out.parent.iterdir()) == []


RANKED_AND_SCORED = {"perplexity", "bits_per_character", "hits_at_1", "hits_at_1_lm", "hits_at_1_served"}


def echo(contexts: Sequence[DialogueContext]) -> list[Candidate]:
    """What retrieval would find that knew the data: the true reply to each but the first, where it finds nothing."""
    texts = ["", *(gold_of(context) for context in contexts[1:])]
    return [Candidate(text, Source.RETRIEVER, Finish.STOP) for text in texts]


def none_of(evaluation: Evaluation) -> set[str]:
    """The measures that are None."""
    return {name for name in MEASURES if getattr(evaluation, name) is None}


def test_retrieval_only_writes(data: Path) -> None:
    found = evaluate(MeasuredRetrieval(echo, "lines"), data, Settings(train=(str(data),), examples=0))
    assert none_of(found) == RANKED_AND_SCORED
    assert found.f1 == pytest.approx(24 / 25)
    assert found.verbatim_copies == 24 / 25
    assert found.cut_by_limit == 0
    assert (found.about.model_version, found.about.format) == ("lines", None)
    counts = found.about.counts
    assert (counts.scored_replies, counts.scored_tokens, counts.scored_characters, counts.cut_replies) == (0, 0, 0, 0)
    assert (counts.ranked_examples, counts.generated_replies) == (0, 25)


def right(context: DialogueContext, texts: Sequence[str]) -> list[float]:
    """A ranker that always is."""
    return [float(text == gold_of(context)) for text in texts]


def test_systems_are_asked_the_same_and_the_served_ranker_is_measured_once(data: Path) -> None:
    asked: list[Sequence[DialogueContext]] = []

    def answer(contexts: Sequence[DialogueContext]) -> list[Candidate]:
        asked.append(contexts)
        return echo(contexts)

    systems = [MeasuredRetrieval(answer, "a", name="first"), MeasuredRetrieval(answer, "b", name="second")]
    found = evaluate_all(systems, data, Settings(train=(str(data),), examples=6, seed=2), right)
    assert list(found) == ["first", "second"]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 6
    assert found["first"].hits_at_1_served == 1
    assert found["first"].about.counts.ranked_examples == 6
    assert none_of(found["second"]) == RANKED_AND_SCORED


def test_room_is_looked_at_before_anything_is_measured(data: Path) -> None:
    asked: list[Sequence[DialogueContext]] = []

    def answer(contexts: Sequence[DialogueContext]) -> list[Candidate]:
        asked.append(contexts)
        return echo(contexts)

    systems: list[Measured] = [MeasuredRetrieval(answer, "a"), MeasuredCheckpoint("tiny", tiny_checkpoint())]
    with pytest.raises(BadOption, match=r"than tiny has room for .* ask for at most 80"):
        evaluate_all(systems, data, Settings(max_new_tokens=81))
    assert asked == []


def test_an_encoder_decoder_ranks_by_likelihood_alone(data: Path, folder: Path) -> None:
    torch.manual_seed(0)
    baseline = Baseline.new(folder, width=16, layers=1)
    system = MeasuredEncoderDecoder("baseline", baseline, "baseline", batch_size=7)
    found = evaluate(system, data, Settings(train=(str(data),), examples=3, max_new_tokens=8))
    assert none_of(found) == {"hits_at_1", "hits_at_1_served"}
    tokens = sum(len(baseline.chat_format.text_ids(e.reply)) + 1 for d in dialogues(25) for e in examples_of(d))
    assert found.about.counts.scored_tokens == tokens
    # Random weights know nothing: about as many guesses as the vocabulary is large.
    assert found.perplexity == pytest.approx(baseline.model.config.vocab_size, rel=0.5)
    assert (found.about.model_version, found.about.format) == ("baseline", "malbeot")


def test_the_command_sets_systems_side_by_side(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "_retrieval", lambda: MeasuredRetrieval(echo, "lines"))
    monkeypatch.setattr(command, "served_ranker", lambda: right)
    checkpoints.save(tiny_checkpoint(), tmp_path / "half" / "replies")
    Baseline.new(folder, width=16, layers=1).save(tmp_path / "classic", tokens=1)
    out = tmp_path / "out.json"
    result = run(
        *("--model", folder, "--model", tmp_path / "half" / "replies", "--retrieval"),
        *("--encoder-decoder", tmp_path / "classic", "--data", data, "--json", out, "--train", data),
        *("--examples", "3", "--max-new-tokens", "8"),
    )
    assert result.exit_code == 0, result.output
    names = ["tiny", "half", "nearest question", "classic"]
    found = json.loads(out.read_text(encoding="utf-8"))["systems"]
    assert set(found) == set(names)
    assert found["tiny"]["hits_at_1_served"] == 1
    assert found["half"] == found["tiny"] | {"hits_at_1_served": None}, "the same weights, the same examples"
    rows = {cells[0].strip(): [cell.strip() for cell in cells[1:5]] for cells in table_rows(result.stdout)}
    assert rows["measure"] == names
    for measure in MEASURES:
        shown = [None if cell == "none" else float(cell.replace(",", "")) for cell in rows[measure]]
        values = [found[name][measure] for name in names]
        assert shown == [None if value is None else pytest.approx(value, abs=5e-4) for value in values]


def table_rows(text: str) -> list[list[str]]:
    """The cells of a printed table's rows, less those that only go on a row before."""
    rows = [line.strip("│┃").replace("┃", "│").split("│") for line in text.splitlines() if line[0] in "│┃"]
    return [cells for cells in rows if cells[0].strip()]
