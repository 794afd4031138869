from __future__ import annotations

from benchmarks.echo_bot import answer_to
from benchmarks.lines import unlike
from bot.safety.output_filter import Setting, check


def test_lines_are_different_and_an_echo_of_them_passes_the_filter() -> None:
    lines = [unlike(number) for number in range(1000)]
    assert len(set(lines)) == len(lines)
    assert [line for line in lines if not check(answer_to(line), Setting()).allowed] == []
    for start in range(100):
        said = tuple(map(answer_to, lines[start : start + 8]))
        assert check(answer_to(lines[start + 8]), Setting(said)).allowed
