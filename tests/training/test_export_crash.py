"""kill -9 at 30 points of an export, and of rewriting one: what is there is old or new, never partial."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.files import sha256
from tests.training.sharing import Clock, World, everything, manifest, ready_store, records, world
from training.export import export
from training.export_content import ExportOptions
from training.forgetting import apply_tombstones

ROOT = Path(__file__).parents[2]
KILLS = 30

# Forks a child for each point, which kills itself before its n-th step: a call, or a return, in the code that writes.
# The points are spread by a seed over as many steps as a first child counted that was left alone.
SCRIPT = """
import asyncio, os, random, signal, sys, threading
from datetime import timedelta
from pathlib import Path
from training.export import export
from training.export_content import ExportOptions, prepare
from training.forgetting import apply_tombstones
from tests.training.sharing import NOON, ready_store, shared

folder, what, seed, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
WRITERS = ("export.py", "export_files.py", "forgetting.py", "sharing.py", "model/files.py")
seen = 0

def watch(last):
    def hook(frame, event, argument):
        global seen
        if frame.f_code.co_filename.endswith(WRITERS):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
    threading.setprofile(hook)
    sys.setprofile(hook)

# Models and rules are loaded before the forks: that takes longer than everything else.
prepare([shared(0, "안녕")], ExportOptions())

async def work(copy):
    now = lambda: NOON + timedelta(days=1)
    # Without Store.open, which looks through the migrations each time.
    async with ready_store(copy, now) as store:
        if what == "export":
            await export(store, copy / "exports", now, ExportOptions(near_duplicates=100))
        else:
            await apply_tombstones(store, copy / "exports", copy / "models", now)

def child(copy, last):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chdir(copy)
            watch(last)
            asyncio.run(work(copy))
            (copy / "seen").write_text(str(seen))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

assert child(folder / "0", -1) == 0
total = int((folder / "0" / "seen").read_text())
points = sorted(random.Random(seed).sample(range(1, total + 1), min(kills, total)))
for number, point in enumerate(points, start=1):
    print(point, child(folder / str(number), point), flush=True)
"""


async def prepare(folder: Path, forget: bool) -> None:
    """A database with something to export, an export that is there, and perhaps somebody who leaves it."""
    async with world(folder) as here:
        for user, mark in (("1", " 하나"), ("2", " 둘")):
            await here.agree(user)
            await here.talk(user, mark=mark)
        assert await export(here.store, here.out, here.clock, ExportOptions(near_duplicates=100)) is not None
        here.models.mkdir()
        if forget:
            await here.store.forget(here.person("1"), 1)


def kill(folder: Path, what: str) -> list[int]:
    command = [sys.executable, "-c", SCRIPT, folder, what, "7", str(KILLS)]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    results = [line.split() for line in done.stdout.splitlines()]
    assert {code for _, code in results} == {"-9"}
    return [int(point) for point, _ in results]


def check_whole(folder: Path) -> dict[str, object]:
    """An export whose files are those of its manifest."""
    about = manifest(folder)
    assert about["sha256"] == {path.name: sha256([path]) for path in folder.glob("*.jsonl")}
    assert {record["person"] for record in records(folder)} <= set(about["people"])
    return about


@pytest.mark.slow
@pytest.mark.parametrize("what", ["export", "forget"])
async def test_killed_anywhere(tmp_path: Path, what: str) -> None:
    await prepare(tmp_path / "0", forget=what == "forget")
    for number in range(1, KILLS + 1):
        shutil.copytree(tmp_path / "0", tmp_path / str(number))
    points = kill(tmp_path, what)
    assert len(points) == KILLS
    visible = set()
    for number in range(1, KILLS + 1):
        copy = tmp_path / str(number)
        folders = [path for path in (copy / "exports").iterdir() if path.is_dir() and not path.name.startswith(".")]
        visible.add(len(folders))
        for folder in folders:
            check_whole(folder)
        await mended(copy, what)
    assert visible >= ({1, 2} if what == "export" else {1})


async def mended(copy: Path, what: str) -> None:
    """The next run finishes or begins anew, and nothing is left of the killed one."""
    clock = Clock()
    clock.pass_(days=2)
    async with ready_store(copy, clock) as store:
        here = World(store, clock, copy)
        if what == "export":
            assert await export(store, here.out, clock, ExportOptions(near_duplicates=100)) is not None
        else:
            await apply_tombstones(store, here.out, here.models, clock)
            assert await store.waiting_tombstones() == 0
            assert "하나" not in everything(here.out)
        hidden = [path.name for path in here.out.iterdir() if path.is_dir() and path.name.startswith(".")]
        assert hidden == []
        noted = await store.export_names()
        shown = [path for path in here.out.iterdir() if path.is_dir()]
        assert {path.name for path in shown} <= noted
        assert json.dumps([check_whole(path) for path in shown])
