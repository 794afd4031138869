"""The engine's child process: one backend, one scheduler, a typed pipe. Started by `model.engine`, not by people.

It keeps the model's work away from the event loop, which a busy interpreter would stall, and lets a crash in native
code be survived. It lives no longer than its parent.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO, cast

from model.errors import BadCheckpoint
from model.finder import Finder
from model.protocol import (
    Alive,
    Cancel,
    EngineConfig,
    FromWorker,
    Ready,
    Refused,
    Submit,
    ToWorker,
    read_frame,
    to_frame,
)
from model.ranker import Answerer, Backend
from model.scheduler import Scheduler

# The event loop shares the cores; its timers and heartbeats go before the next token.
_NICENESS = 5
# Between two signs of life while there is work.
_ALIVE_SECONDS = 1.0
_BACKENDS = {
    "auto": "model.backends.auto:load",
    "torch": "model.backends.torch_backend:load",
    "openvino": "model.backends.openvino_backend:load",
}


def main(descriptor: int) -> None:
    """Serve the engine at the other end of the socket `descriptor` until it closes its end."""
    # Ctrl-C and a service manager's stop reach the whole group; the parent then decides when this process may end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICENESS)
    pipe = socket.socket(fileno=descriptor)
    inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
    receiver = threading.Thread(target=_receive, args=(pipe.makefile("rb"), inbox), name="receive", daemon=True)
    receiver.start()
    with contextlib.suppress(ConnectionError):  # the engine is gone, as the receiver is about to notice
        _serve(inbox, lambda message: pipe.sendall(to_frame(message)))
    receiver.join()


def _receive(stream: BinaryIO, inbox: queue.SimpleQueue[ToWorker]) -> None:
    """Queue what the engine sends. When it is gone there is nobody to work for: end, also in the middle of a step."""
    try:
        while (message := read_frame(stream)) is not None:
            inbox.put(message)
    finally:
        os._exit(0)


def _serve(inbox: queue.SimpleQueue[ToWorker], send: Callable[[FromWorker], None]) -> None:
    config = cast(EngineConfig, inbox.get())
    try:
        backend, finder = _load(config)
    except BadCheckpoint as error:
        send(Refused(error))
        return
    send(Ready(backend.version))
    scheduler = Scheduler(Answerer(backend, finder, config).answer, backend.step, config.max_running)
    told = time.monotonic()
    while True:
        while scheduler.idle or not inbox.empty():
            match inbox.get():
                case Submit() as request:
                    scheduler.submit(request)
                case Cancel(request_id):
                    scheduler.cancel(request_id)
        for event in scheduler.step():
            send(event)
        if time.monotonic() - told > _ALIVE_SECONDS:
            send(Alive())
            told = time.monotonic()


def _load(config: EngineConfig) -> tuple[Backend, Finder | None]:
    name = _BACKENDS.get(config.backend, config.backend)
    module, _, function = name.partition(":")
    load = cast(Callable[[EngineConfig], Backend], getattr(importlib.import_module(module), function))
    backend = load(config)
    if config.retriever is None:
        return backend, None
    # Torch comes with it, which the model itself may do without.
    import torch

    from model.reranker import load_reranker

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    return backend, Finder.load(config.retriever, config.threads, reranker=load_reranker)


if __name__ == "__main__":
    main(int(sys.argv[1]))
