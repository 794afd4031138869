# Sourced by ./run and ./check: makes .venv and installs the pinned versions, once.
# Usage: set_up NAME EXTRAS...   (NAME tells the two sets of packages apart)

set_up() {
    local name=$1
    shift
    cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
    local wanted
    wanted=$(cat pyproject.toml constraints.txt scripts/setup.sh | sha256sum)
    if [ -f ".venv/installed-$name" ] && [ "$(cat ".venv/installed-$name")" = "$wanted" ]; then
        return
    fi
    echo "말벗을 준비하고 있어요. 처음 한 번만 몇 분 걸려요..." >&2
    [ -x .venv/bin/python ] || "$(find_python)" -m venv .venv || exit 1
    install_packages "$@" >&2 || {
        echo "설치하지 못했어요. 인터넷 연결과 위의 메시지를 확인하고 다시 실행해 주세요." >&2
        exit 1
    }
    echo "$wanted" > ".venv/installed-$name"
}

find_python() {
    local python
    for python in python3.11 python3.12 python3.13 python3; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            echo "$python"
            return
        fi
    done
    echo "Python 3.11 이상이 필요해요. 설치한 뒤 다시 실행해 주세요." >&2
    exit 1
}

install_packages() {
    local pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet --quiet install)
    local torch
    torch=$(grep '^torch==' constraints.txt)
    # PyPI's torch for Linux on x86-64 is the CUDA one, with gigabytes of NVIDIA packages; without such a GPU take the
    # CPU build, wherever pip is set up to find one, else where PyTorch publishes it.
    if [ "$(uname -sm)" = "Linux x86_64" ] && ! nvidia-smi -L > /dev/null 2>&1; then
        "${pip[@]}" --no-deps "$torch+cpu" 2> /dev/null ||
            "${pip[@]}" --no-deps --index-url https://download.pytorch.org/whl/cpu "$torch+cpu" || return 1
    fi
    # The project runs from its folder and is not itself installed: only what it depends on is.
    .venv/bin/python - "$@" << 'PYTHON' > .venv/requirements.txt || return 1
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], *(name for extra in sys.argv[1:] for name in project["optional-dependencies"][extra]), sep="\n")
PYTHON
    "${pip[@]}" --constraint constraints.txt --requirement .venv/requirements.txt
}
