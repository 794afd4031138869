"""`python -m training.readings`: what each system answers, for people to read and judge, and the persona questions.

Writes the openings and the five-turn conversations with the replies of every system, without judgements, and prints
how many of the persona questions are answered with the persona's fact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from model import checkpoint as checkpoints
from model.checkpoint import Checkpoint
from model.dialogue import DEFAULT_PERSONA, Candidate, DialogueContext, Role, SpeechLevel, Turn
from model.files import write_text
from model.finder import Finder
from model.ranker import GENERATOR_CONFIDENCE
from model.reranker import load_reranker
from training import options
from training.collected import BASE_DATA
from training.errors import BadData
from training.systems import System, generator_alone, learnt_entries, plain_retrieval, served

EVALUATION = Path(__file__).resolve().parent / "evaluation"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class PersonaQuestion:
    """A question about one fact of a persona. An answer that holds one of `accept` (spaces aside) tells the fact."""

    context: DialogueContext
    accept: tuple[str, ...]

    def is_answered(self, reply: str) -> bool:
        """Whether `reply` tells the fact."""
        squeezed = reply.replace(" ", "").lower()
        return any(form.replace(" ", "").lower() in squeezed for form in self.accept)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line. Raises BadData when it cannot be read."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read ({error}); expected JSON objects, one a line.") from error


def persona_questions(path: Path) -> list[PersonaQuestion]:
    """The questions of a file; see training/evaluation/README.md."""
    return [
        PersonaQuestion(
            context=DialogueContext(
                persona=tuple(record["persona"]),
                turns=(Turn(Role.USER, record["question"]),),
                speech_level=SpeechLevel(record["speech"]),
            ),
            accept=tuple(record["accept"]),
        )
        for record in read_records(path)
    ]


def systems_of(checkpoint: Checkpoint, folder: Path) -> dict[str, System]:
    """The systems by name."""
    finder = Finder.load(folder, entries=learnt_entries(folder), reranker=load_reranker)
    generator = generator_alone(checkpoint, finder)
    return {
        "served": served(finder, generator, GENERATOR_CONFIDENCE),
        "retrieval": plain_retrieval(finder),
        "generator": generator,
    }


def answered_openings(systems: Mapping[str, System], records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each opening with what every system answers."""
    contexts = [
        DialogueContext(DEFAULT_PERSONA, (Turn(Role.USER, record["text"]),), SpeechLevel(record["speech"]))
        for record in records
    ]
    replies = {name: system(contexts) for name, system in systems.items()}
    return [
        {**record, "replies": {name: _shown(replies[name][index]) for name in systems}}
        for index, record in enumerate(records)
    ]


def talked_through(systems: Mapping[str, System], records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each conversation as it goes with every system: the same lines of the user's, the system's own between them."""
    if len({len(record["lines"]) for record in records}) != 1:
        raise BadData("The conversations differ in length; give each the same number of lines.")
    results: list[dict[str, Any]] = [{**record, "replies": {}} for record in records]
    for name, system in systems.items():
        contexts = [DialogueContext(tuple(record["persona"]), (), SpeechLevel(record["speech"])) for record in records]
        replies: list[list[dict[str, str]]] = [[] for _ in records]
        for step in range(len(records[0]["lines"])):
            contexts = [
                _said(context, Turn(Role.USER, record["lines"][step]))
                for context, record in zip(contexts, records, strict=True)
            ]
            answers = system(contexts)
            for lines, answer in zip(replies, answers, strict=True):
                lines.append(_shown(answer))
            contexts = [
                _said(context, Turn(Role.BOT, answer.text)) for context, answer in zip(contexts, answers, strict=True)
            ]
        for result, lines in zip(results, replies, strict=True):
            result["replies"][name] = lines
    return results


def _said(context: DialogueContext, turn: Turn) -> DialogueContext:
    return DialogueContext(context.persona, (*context.turns, turn), context.speech_level)


def _shown(candidate: Candidate) -> dict[str, str]:
    return {"text": candidate.text, "source": candidate.source.value}


def _write(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


@app.command()
def main(
    model: Annotated[Path, typer.Option(help="Checkpoint folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write openings.jsonl and conversations.jsonl to.")],
    evaluation: Annotated[Path, typer.Option(help="Folder of the questions, openings and conversations.")] = EVALUATION,
    data: Annotated[Path, typer.Option(help="The project's own dialogues.")] = BASE_DATA,
) -> None:
    """Answer the openings, conversations and persona questions with every system."""
    with options.plain_errors():
        systems = systems_of(checkpoints.load(model), data)
        out.mkdir(parents=True, exist_ok=True)
        _write(answered_openings(systems, read_records(evaluation / "openings.jsonl")), out / "openings.jsonl")
        _write(talked_through(systems, read_records(evaluation / "conversations.jsonl")), out / "conversations.jsonl")
        questions = persona_questions(evaluation / "persona_questions.jsonl")
        table = Table("system", "persona questions answered")
        for name, system in systems.items():
            replies = system([question.context for question in questions])
            told = sum(q.is_answered(reply.text) for q, reply in zip(questions, replies, strict=True))
            table.add_row(name, f"{told} of {len(questions)}")
        Console().print(table)


if __name__ == "__main__":
    app()
