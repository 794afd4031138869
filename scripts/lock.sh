#!/usr/bin/env bash
# Writes requirements.lock: the versions of constraints.txt with the SHA-256 of every file the registry has of them.
#
#   scripts/lock.sh                                     after each change of constraints.txt or pyproject.toml
#   pip install --require-hashes -r requirements.lock   installs nothing but what was locked, torch already being there
#
# torch is left out. Its CPU build (2.x+cpu) is another file than the plain one, which would
# bring gigabytes of NVIDIA packages, and pip takes an installed +cpu build for the plain version. scripts/setup.sh
# installs it; to check that one file by hand: pip download --no-deps, then pip hash.
#
# Needs the network, and installs uv in a folder of its own that is removed afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
.venv/bin/python -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --disable-pip-version-check --quiet uv 2> "$tools/errors" || {
    cat "$tools/errors" >&2
    echo "uv could not be installed; is the package registry reachable?" >&2
    exit 1
}
"$tools/venv/bin/uv" pip compile pyproject.toml --extra training --extra dev --extra benchmarks --quiet \
    --constraint constraints.txt --generate-hashes --python-version 3.11 --no-annotate --no-header \
    --output-file "$tools/all.lock"
.venv/bin/python - "$tools/all.lock" << 'PYTHON'
import re
import sys
from pathlib import Path

from model.files import write_text


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


pinned = {plain(line.partition("==")[0]) for line in Path("constraints.txt").read_text().splitlines() if "==" in line}
# Every environment has one, so that it is not pinned; with hashes pip wants its version all the same.
pinned |= {"setuptools"}
blocks = re.findall(r"^\S+==(?:.|\n)*?(?=^\S|\Z)", Path(sys.argv[1]).read_text(), re.MULTILINE)
# What is not in constraints.txt is what torch's other build would bring.
kept = [block for block in blocks if plain(block.partition("==")[0]) in pinned - {"torch"}]
missing = pinned - {"torch"} - {plain(block.partition("==")[0]) for block in kept}
if any("--hash=sha256:" not in block for block in kept):
    sys.exit("a package has no hash")
head = "# Written by scripts/lock.sh, which says how to use it and why torch is not here. Do not edit.\n"
write_text(Path("requirements.lock"), head + "".join(kept))
print(f"{len(kept)} packages locked, {sum(block.count('--hash') for block in kept)} hashes")
if missing:
    print("in constraints.txt, but needed by nothing on this platform:", *sorted(missing))
PYTHON
