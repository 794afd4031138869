"""The README's file map against the tree."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("model", "bot", "adapters", "training", "benchmarks")
# At the top level: what is not source, or not the project's.
IGNORED = {".git", ".venv", ".env", "data", "models", "runs"}


def mapped() -> list[str]:
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("## File map")[1].split("```")[1]
    return [line.split()[0] for line in block.splitlines() if line.strip()]


def test_every_path_of_the_map_exists() -> None:
    assert [path for path in mapped() if not (ROOT / path).exists()] == []


def test_every_module_is_on_the_map() -> None:
    listed = mapped()
    folders = tuple(path for path in listed if path.endswith("/"))
    modules = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert modules
    assert [module for module in modules if module not in listed and not module.startswith(folders)] == []


def test_every_top_level_name_is_on_the_map() -> None:
    tops = {path.split("/")[0] for path in mapped()} | {"README.md", ".gitignore"}
    names = {path.name for path in ROOT.iterdir() if not re.search(r"_cache$|^\.hypothesis$", path.name)}
    assert names - tops - IGNORED == set()


def test_no_module_is_overlong() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count}"
        for room in (*ROOMS, "tests")
        for path in (ROOT / room).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 350
    ]
    assert long == []
