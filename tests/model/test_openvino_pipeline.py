from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from model import checkpoint as checkpoints
from model.backends.openvino_cache import Export
from model.backends.openvino_export import write
from model.backends.openvino_pipeline import Job, Pipeline, Wish, block_bytes, blocks_needed
from model.dialogue import Sampling
from model.errors import ContextTooLong, EngineFailed

GREEDY = Sampling(temperature=0, repetition_penalty=1, candidates=1)
WILD = Sampling(temperature=2, top_k=0, top_p=1)


@pytest.fixture(scope="module")
def export(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return write(tmp_path_factory.mktemp("export"), checkpoints.load(tiny_folder), "fp32", scored=True)


def ids(count: int, seed: int) -> tuple[int, ...]:
    return tuple(Random(seed).choices(range(20, 390), k=count))


def run(pipeline: Pipeline, jobs: list[Job]) -> list[list[list[int]]]:
    while not all(job.finished for job in jobs):
        pipeline.step()
    return [[row.ids for row in job.rows] for job in jobs]


def steps(pipeline: Pipeline, wishes: list[Wish]) -> int:
    """How many steps it takes until every row has read its prompt and written an id."""
    job = pipeline.submit(wishes)
    count = 0
    while not all(row.begun for row in job.rows):
        pipeline.step()
        count += 1
    run(pipeline, [job])
    return count


def test_conversations_that_go_on_from_the_same_place_do_not_get_into_each_other(export: Export) -> None:
    """GenAI by itself lets them write into one block: all but one of these differ then."""
    start, tails = ids(40, 0), [ids(length, length) for length in (5, 7, 30, 41)]
    wishes = [Wish((*start, *tail), 12, GREEDY) for tail in tails]
    alone = [run(each, [each.submit([wish])])[0] for wish in wishes for each in [Pipeline(export, 4)]]
    pipeline = Pipeline(export, 4)
    run(pipeline, [pipeline.submit([Wish(start, 1, GREEDY)])])
    assert run(pipeline, [pipeline.submit([wish]) for wish in wishes]) == alone
    assert run(pipeline, [pipeline.submit(wishes)]) == [[rows[0] for rows in alone]]


def test_a_second_turn_reads_only_what_is_new(export: Export) -> None:
    """Told by steps, of which each reads 32 tokens."""
    pipeline = Pipeline(export, 4, step_tokens=32)
    first = ids(160, 1)
    assert steps(pipeline, [Wish(first, 8, GREEDY)]) == 5
    assert steps(pipeline, [Wish((*first, *ids(16, 2)), 8, GREEDY)]) == 1
    assert steps(pipeline, [Wish((*ids(160, 3), *ids(16, 2)), 8, GREEDY)]) == 6


def test_candidates_read_their_prompt_once(export: Export) -> None:
    pipeline = Pipeline(export, 4, step_tokens=32)
    assert steps(pipeline, [Wish(ids(170, 4), 8, WILD, seed) for seed in range(8)]) == 7
    pipeline = Pipeline(export, 4, step_tokens=32)
    assert steps(pipeline, [Wish(ids(170, 4), 8, WILD)]) == 6


def test_conversations_that_arrive_together_read_a_common_beginning_once(export: Export) -> None:
    pipeline = Pipeline(export, 4, step_tokens=64)
    start = ids(160, 5)
    jobs = [pipeline.submit([Wish((*start, *ids(4, 6 + place)), 4, GREEDY)]) for place in range(8)]
    count = 0
    while not all(job.rows[0].begun for job in jobs):
        pipeline.step()
        count += 1
    assert count == 4, "three steps for the first, one for what the others have of their own"
    run(pipeline, jobs)


def test_a_full_cache_makes_jobs_wait_and_all_finish_as_they_would_alone(export: Export) -> None:
    wishes = [[Wish(ids(100, place), 20, WILD, seed=4 * place + row) for row in range(4)] for place in range(12)]
    roomy = Pipeline(export, 64)
    expected = [run(roomy, [roomy.submit(each)])[0] for each in wishes]
    pipeline = Pipeline(export, 1)
    assert sum(blocks_needed(each) for each in wishes) > 1.2 * pipeline.blocks
    jobs = [pipeline.submit(each) for each in wishes]
    pipeline.step()
    assert not all(any(row.handle for row in job.rows) for job in jobs)
    assert run(pipeline, jobs) == expected


def test_a_job_that_was_closed_gives_its_room_to_those_that_wait(export: Export) -> None:
    pipeline = Pipeline(export, 1)
    long = [pipeline.submit([Wish(ids(100, place), 100, WILD) for place in range(8)]) for _ in range(4)]
    pipeline.step()
    short = pipeline.submit([Wish(ids(50, 1), 2, GREEDY)])
    pipeline.step()
    assert short.rows[0].handle is None, "the long ones take all the room"
    for job in long:
        job.close()
        job.close()
    for _ in range(4):
        pipeline.step()
    assert short.finished


def test_what_can_never_fit_is_refused(export: Export) -> None:
    pipeline = Pipeline(export, 1)
    with pytest.raises(ContextTooLong, match="cache_mb"):
        pipeline.submit([Wish(ids(200, place), 40, GREEDY) for place in range(16)])


@pytest.mark.parametrize("strange", [-1, 2**31])
def test_ids_that_the_model_does_not_know_are_refused(export: Export, strange: int) -> None:
    with pytest.raises(EngineFailed, match="tokenizer"):
        Pipeline(export, 1).submit([Wish((5, strange), 4, GREEDY)])


def test_a_job_that_genai_ignores_is_an_error_and_its_neighbours_go_on(export: Export) -> None:
    """Admission keeps this from happening; here it believes in more room than there is."""
    pipeline = Pipeline(export, 1)
    pipeline._free = pipeline.blocks * 100
    pipeline.blocks *= 100
    rows = pipeline.blocks // 100 // 2
    job = pipeline.submit([Wish(ids(120, place), 100, WILD, seed=place) for place in range(rows)])
    alone = Pipeline(export, 1)
    expected = run(alone, [alone.submit([Wish(ids(50, 1), 4, GREEDY)])])
    try:
        while not job.over:
            pipeline.step()
    finally:
        job.close()
    assert run(pipeline, [pipeline.submit([Wish(ids(50, 1), 4, GREEDY)])]) == expected


def test_the_cache_takes_no_more_memory_than_it_was_given(export: Export, tiny_folder: Path, tmp_path: Path) -> None:
    small = write(tmp_path, checkpoints.load(tiny_folder), "int8", scored=True)
    for each in (export, small):
        pipeline = Pipeline(each, 2)
        run(pipeline, [pipeline.submit([Wish(ids(50, 1), 4, GREEDY)])])
        used = pipeline._pipeline.get_metrics().kv_cache_size_in_bytes
        assert 0.9 * 2**21 < used <= 2**21
        assert used == pipeline.blocks * block_bytes(each.shape, each.precision)


def test_blocks_are_counted_once_for_a_common_prompt() -> None:
    wish = Wish(ids(70, 1), 20, GREEDY)
    assert blocks_needed([wish]) == 3
    assert blocks_needed([wish] * 4) == 2 + 4
    assert blocks_needed([wish, Wish(ids(70, 2), 20, GREEDY)]) == 6
    assert blocks_needed([Wish(ids(70, 1), 25, GREEDY)]) == 3
    assert blocks_needed([Wish(ids(70, 1), 26, GREEDY)]) == 4, "the end needs its place"
