"""The local port on which a supervisor asks whether the bot is well (/healthz), and Prometheus for its counts."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from bot.errors import BadSettings
from bot.metrics import CONTENT_TYPE, Metrics

# Only this machine may ask, unless the operator says otherwise.
DEFAULT_HOST = "127.0.0.1"
CHECK_SECONDS = 2.0

# Whether one part of the bot works. Raising, or taking too long, is a no.
Check = Callable[[], Awaitable[bool] | bool]

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serve_health(
    host: str, port: int, metrics: Metrics, checks: Mapping[str, Check], check_seconds: float = CHECK_SECONDS
) -> AsyncIterator[int]:
    """Answer GET /healthz and GET /metrics while inside; yields the port, which for `port` 0 the system chooses.

    /healthz asks all `checks` at once: 200 when every one says yes, else 503, with each one's answer as JSON. Raises
    BadSettings when the address cannot be taken.
    """

    async def healthz(request: web.Request) -> web.Response:
        answers = await asyncio.gather(*(_holds(name, check, check_seconds) for name, check in checks.items()))
        status = "ok" if all(answers) else "failing"
        body = {"status": status, "checks": dict(zip(checks, answers, strict=True))}
        return web.json_response(body, status=200 if all(answers) else 503)

    async def metrics_page(request: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics_page)])
    # Whoever asks every few seconds is not worth a line in the log.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise BadSettings(_refusal(host, port, error)) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _holds(name: str, check: Check, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            answer = check()
            return bool(await answer) if inspect.isawaitable(answer) else bool(answer)
    except Exception as error:
        _log.warning("The health check of %s failed: %s", name, type(error).__name__)
        return False


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"상태를 알리는 주소 {host}:{port} 는 다른 프로그램이 쓰고 있어요. 말벗이 이미 켜져 있는지 확인하거나, "
            "설정에서 다른 포트를 적어 주세요."
        )
    return (
        f"상태를 알리는 주소 {host}:{port} 를 열 수 없어요. "
        "이 컴퓨터의 주소인지, 포트를 열 권한이 있는지 확인해 주세요."
    )
