"""Programs run apart: how they end, what they print, how little they ask for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.apart import run_apart

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules can be run."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    return tmp_path


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def pid_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


async def test_the_status_and_the_last_line_are_told(programs: Path) -> None:
    (programs / "talker.py").write_text(
        "import sys\nprint('one')\nprint('10%\\r90%\\rtwo', sys.argv[1:])\n\nsys.exit(3)\n"
    )
    ended = await run_apart(["talker", "a", "--b"], programs / "logs" / "talker.log")
    assert (ended.status, ended.last_line) == (3, "two ['a', '--b']")
    assert "one" in (programs / "logs" / "talker.log").read_text()


async def test_it_gets_what_nobody_else_wants(programs: Path) -> None:
    (programs / "idler.py").write_text(
        "import os\nprint(os.nice(0), os.sched_getscheduler(0), os.environ['OMP_NUM_THREADS'])\n"
    )
    ended = await run_apart(["idler"], programs / "idler.log")
    assert ended.last_line in (f"19 {os.SCHED_IDLE} 1", f"19 {os.SCHED_OTHER} 1")


async def test_a_cancelled_caller_ends_it(programs: Path) -> None:
    (programs / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    task = asyncio.create_task(run_apart(["sleeper"], programs / "sleeper.log"))
    pid = await asyncio.to_thread(pid_in, programs / "sleeper.log")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_there(pid)


def test_it_does_not_outlive_a_killed_bot(programs: Path) -> None:
    (programs / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    log = programs / "sleeper.log"
    script = (
        f"import asyncio, pathlib, bot.apart as a\nasyncio.run(a.run_apart(['sleeper'], pathlib.Path({str(log)!r})))"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    pid = pid_in(log)
    caller.kill()
    caller.wait()
    until(lambda: not is_there(pid))
