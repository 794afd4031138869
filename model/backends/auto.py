"""The fastest backend that works here: OpenVINO on a CPU where it is installed and faithful, else torch."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from model.backends.openvino_backend import load as load_openvino
from model.backends.openvino_cache import NotServable
from model.protocol import EngineConfig
from model.ranker import Backend

_log = logging.getLogger(__name__)


def load(config: EngineConfig) -> Backend:
    """Load the checkpoint that `config` names. Raises BadCheckpoint. The log says why torch serves where it does."""
    obstacle = _obstacle(config)
    if obstacle is None:
        try:
            backend: Backend = load_openvino(config)
        except NotServable as error:
            obstacle = str(error)
        except (RuntimeError, ImportError, OSError) as error:  # OpenVINO raises RuntimeError for all that is its own
            obstacle = f"OpenVINO does not work here ({_first_line(error)})"
        else:
            _log.info("OpenVINO serves %s.", config.model)
            return backend
    # Not at the top: where it is not needed, it is seconds of every start and 90 MB.
    from model.backends import torch_backend

    reference = torch_backend.load(config)
    _log.warning("torch serves %s, more slowly than OpenVINO would: %s.", config.model, obstacle.rstrip("."))
    return reference


def _obstacle(config: EngineConfig) -> str | None:
    """What keeps OpenVINO from being tried at all."""
    if config.device != "cpu":
        return f"it runs on a CPU, and the device is {config.device}"
    missing = [name for name in ("openvino", "openvino_genai") if find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} cannot be imported (pip install openvino-genai)"
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
