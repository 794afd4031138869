#!/usr/bin/env bash
# Looks up the pinned versions in the database of known vulnerabilities that pip-audit asks (PyPI, then OSV).
# Not part of ./check, which needs no network. Exit code: 0 nothing known, 1 something found, 3 nobody could be asked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)" -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --disable-pip-version-check --quiet pip-audit 2> "$tools/errors" || {
    cat "$tools/errors" >&2
    echo "NOT AUDITED: pip-audit could not be installed; is the package registry reachable?" >&2
    exit 3
}
# The versions are exact, so nothing has to be resolved or downloaded. A local build (+cpu) is asked for as its version.
grep -E '^[A-Za-z0-9]' constraints.txt > "$tools/pins.txt"
for service in pypi osv; do
    "$tools/venv/bin/pip-audit" --requirement "$tools/pins.txt" --no-deps --disable-pip --progress-spinner off \
        --vulnerability-service "$service" --timeout 20 --format json > "$tools/report" 2> "$tools/errors" || true
    status=0
    "$tools/venv/bin/python" - "$tools/report" "$service" << 'PYTHON' || status=$?
import json
import sys

try:
    with open(sys.argv[1], encoding="utf-8") as file:
        packages = json.load(file)["dependencies"]
except ValueError:
    sys.exit(3)
# A mirror that knows packages and no vulnerabilities answers as well: such a package was not looked up.
asked = [package for package in packages if "skip_reason" not in package]
known = [(package, found) for package in asked for found in package["vulns"]]
for package, found in known:
    print(f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}")
for package in packages:
    if asked and "skip_reason" in package:
        print(f"not looked up: {package['name']}: {package['skip_reason']}")
print(f"{sys.argv[2]}: {len(asked)} of {len(packages)} packages looked up, {len(known)} known vulnerabilities")
sys.exit(1 if known else 0 if len(asked) > len(packages) // 2 else 3)
PYTHON
    [ "$status" -eq 3 ] || exit "$status"
    echo "$service could not be asked: $(tail -n 1 "$tools/errors")" >&2
done
echo "NOT AUDITED: no database of vulnerabilities could be reached. Run this where the network allows it." >&2
exit 3
