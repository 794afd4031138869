"""Names in exports: rare proper nouns and display names go, what many write stays."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

import pytest

from bot.safety import names
from bot.safety.names import TaggerMissing, mask_names

# Kiwi takes seconds to load its model.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("서윤이가 오늘 안 왔어", "[누구]가 오늘 안 왔어"),
        ("지훈아 밥 먹었어?", "[누구]야 밥 먹었어?"),
        ("강지호랑 어제 싸웠어", "[누구]랑 어제 싸웠어"),
        ("담임 이도윤 쌤이 숙제 냈어", "담임 [누구] 쌤이 숙제 냈어"),
        ("저는 정유진이라고 해요", "저는 [누구]라고 해요"),
        ("하늘이 맑고 바람이 좋아", "하늘이 맑고 바람이 좋아"),
        ("", ""),
    ],
)
def test_names_of_few_users_are_replaced(text: str, masked: str) -> None:
    assert mask_names({"user": [text]}, k=2) == {"user": [masked]}


def test_what_enough_users_write_stays() -> None:
    texts = {"a": ["서울 가자", "서울 가자"], "b": ["서울은 추워"], "c": ["부산 가자"]}
    assert mask_names(texts, k=2) == {"a": ["서울 가자", "서울 가자"], "b": ["서울은 추워"], "c": ["[누구] 가자"]}
    assert mask_names(texts, k=3)["a"] == ["[누구] 가자", "[누구] 가자"]


def test_display_names_go_however_many_write_them() -> None:
    texts = {"a": ["하늘별이랑 놀았어", "HaNeul99 안녕"], "b": ["하늘별 뭐해", "haneul999 는 달라"]}
    masked = mask_names(texts, k=1, display_names=["하늘별", "haneul99", " ", "하"])
    assert masked == {"a": ["[누구]랑 놀았어", "[누구] 안녕"], "b": ["[누구] 뭐해", "haneul999 는 달라"]}


def test_without_kiwipiepy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_kiwi(name: str, *args: Any, **kwargs: Any) -> ModuleType:
        if name == "kiwipiepy":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    names._tagger.cache_clear()
    monkeypatch.delitem(sys.modules, "kiwipiepy", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_kiwi)
    with pytest.raises(TaggerMissing, match="kiwipiepy"):
        mask_names({"user": ["안녕"]}, k=2)
    names._tagger.cache_clear()
