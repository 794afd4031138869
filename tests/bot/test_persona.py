from __future__ import annotations

import pytest

from bot.persona import MAX_FACT_CHARACTERS, BadPersona, parse_facts


@pytest.mark.parametrize(
    "text",
    [
        "내 이름은 토리다. 나는 전주에 산다.",
        "내 이름은 토리다.\n나는 전주에 산다.",
        "내 이름은 토리다.; 나는 전주에 산다. ",
        "\u202e내 이름은 토리다.\n\n나는\t전주에 산다.\x00",
    ],
)
def test_facts_are_told_apart(text: str) -> None:
    assert parse_facts(text) == ("내 이름은 토리다.", "나는 전주에 산다.")


@pytest.mark.parametrize("text", ["", " \n ", "\u200b", "1\n2\n3\n4\n5\n6", "가나" * (MAX_FACT_CHARACTERS // 2) + "다"])
def test_what_does_not_fit_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadPersona, match=r"페르소나|한 문장"):
        parse_facts(text)


def test_a_fact_may_be_as_long_as_the_limit() -> None:
    # Distinct characters: runs of one are shortened.
    fact = "가나다라마바" * (MAX_FACT_CHARACTERS // 6)
    assert parse_facts(fact) == (fact,)
