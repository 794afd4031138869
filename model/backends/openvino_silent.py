"""OpenVINO, imported so that it tells nobody. Every import of it in this program goes through here."""

from __future__ import annotations

import importlib
import sys
from typing import Any, cast


def import_openvino() -> Any:
    """The module `openvino`. Raises ImportError where it is not installed."""
    _silence()
    return importlib.import_module("openvino")


def import_genai() -> Any:
    """The module `openvino_genai`. Raises ImportError where it is not installed."""
    import_openvino()
    return importlib.import_module("openvino_genai")


def _silence() -> None:
    """Make `import openvino_telemetry` fail, for which OpenVINO has a stub.

    Left alone, importing OpenVINO sends usage statistics and writes an id into the home folder.
    """
    cast(dict[str, object], sys.modules)["openvino_telemetry"] = None
