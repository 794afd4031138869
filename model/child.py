"""The engine's child process and the pipe to it, as seen from the event loop. No torch in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

from model.errors import EngineFailed
from model.protocol import EngineConfig, FromWorker, Ready, Refused, ToWorker, receive_frame, to_frame

# From closing the pipe, on which the child ends by itself, to killing it.
_END_SECONDS = 2.0
# A large model that has to be converted at its first use takes minutes; more than this is a child that hangs.
_LOAD_SECONDS = 900.0


class Child:
    """The process and the pipe to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self._reader = reader
        self._writer = writer
        self.model_version = ""

    @classmethod
    async def start(cls, config: EngineConfig) -> Child:
        """Start a child and wait until its model is loaded. Raises BadCheckpoint and EngineFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "model.worker", str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_child_environment(),
                )
            except BaseException:
                writer.transport.abort()
                raise
        child = cls(process, reader, writer)
        try:
            await child._load(config)
        except BaseException:
            await child.end()
            raise
        return child

    async def _load(self, config: EngineConfig) -> None:
        self.send(config)
        message: FromWorker | None = None
        with contextlib.suppress(TimeoutError):
            message = await asyncio.wait_for(self.receive(), _LOAD_SECONDS)
        match message:
            case Ready(version):
                self.model_version = version
            case Refused(error):
                raise error
            case _:
                raise EngineFailed("The engine's process ended, or hung, while it loaded the model; its log says why.")

    def send(self, message: ToWorker) -> None:
        """Hand a message over; to a dead child it is lost, as its death is about to be noticed."""
        self._writer.write(to_frame(message))

    async def receive(self) -> FromWorker | None:
        """The next message, None when the child is gone."""
        return await receive_frame(self._reader)

    async def end(self) -> None:
        """Close the pipe, on which the child ends; kill it if it has not soon."""
        self._writer.transport.abort()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _END_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


def _child_environment() -> dict[str, str]:
    """The parent's environment; the same packages, whatever the working folder; no network, bars or chatter."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return {**os.environ, **quiet, "PYTHONPATH": path}
