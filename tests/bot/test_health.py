from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from bot.errors import BadSettings
from bot.health import DEFAULT_HOST, Check, serve_health
from bot.metrics import Metrics


async def well() -> bool:
    return True


async def ill() -> bool:
    return False


async def broken() -> bool:
    raise RuntimeError("비밀번호는 1234")


async def stuck() -> bool:
    await asyncio.Event().wait()
    return True


async def health(checks: Mapping[str, Check]) -> tuple[int, Any, str]:
    async with (
        serve_health(DEFAULT_HOST, 0, Metrics(), checks, check_seconds=0.05) as port,
        ClientSession(f"http://127.0.0.1:{port}") as client,
        client.get("/healthz") as response,
    ):
        return response.status, await response.json(), await response.text()


async def test_all_well_is_200() -> None:
    status, body, _ = await health({"database": well, "engine": lambda: True})
    assert (status, body) == (200, {"status": "ok", "checks": {"database": True, "engine": True}})


@pytest.mark.parametrize("check", [ill, broken, stuck, lambda: False, lambda: 1 / 0 > 0])
async def test_one_part_that_does_not_work_is_503_and_named(check: Check) -> None:
    status, body, text = await health({"database": well, "telegram": check, "discord": well})
    assert status == 503
    assert body == {"status": "failing", "checks": {"database": True, "telegram": False, "discord": True}}
    assert "1234" not in text


async def test_checks_are_asked_at_each_request_and_at_once() -> None:
    answers = iter((True, False))
    both = asyncio.Barrier(2)

    async def together() -> bool:
        async with both:
            return True

    checks: dict[str, Check] = {"a": together, "b": together, "c": lambda: next(answers)}
    async with (
        serve_health(DEFAULT_HOST, 0, Metrics(), checks) as port,
        ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        statuses = []
        for _ in range(2):
            async with client.get("/healthz") as response:
                statuses.append(response.status)
    assert statuses == [200, 503]


async def test_metrics_are_a_page_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.crisis()
    async with (
        serve_health(DEFAULT_HOST, 0, metrics, {}) as port,
        ClientSession(f"http://127.0.0.1:{port}") as client,
        client.get("/metrics") as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        page = {family.name: family for family in text_string_to_metric_families(await response.text())}
    assert page["malbeot_crises"].samples[0].value == 1


async def test_nothing_else_is_there() -> None:
    async with (
        serve_health(DEFAULT_HOST, 0, Metrics(), {}) as port,
        ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        for path in ("/", "/health", "/metrics/", "/healthz/x", "/../etc/passwd", "/%2e%2e/secret"):
            async with client.get(path) as response:
                assert response.status == 404, path
        async with client.post("/healthz") as response:
            assert response.status == 405


async def test_only_the_given_address_listens_and_nobody_does_afterwards() -> None:
    async with serve_health(DEFAULT_HOST, 0, Metrics(), {}) as port:
        with socket.socket() as other, pytest.raises(ConnectionRefusedError):
            # A bot that listened on every address would take this one too.
            other.connect(("127.0.0.2", port))
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect((DEFAULT_HOST, port))


async def test_a_used_port_is_a_sentence() -> None:
    async with serve_health(DEFAULT_HOST, 0, Metrics(), {}) as port:
        with pytest.raises(BadSettings, match=f"127.0.0.1:{port} 는 다른 프로그램이 쓰고 있어요"):
            async with serve_health(DEFAULT_HOST, port, Metrics(), {}):
                pass


async def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(BadSettings, match="열 수 없어요"):
        async with serve_health("192.0.2.1", 0, Metrics(), {}):
            pass
