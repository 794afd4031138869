"""The library's HTTP, over aiohttp: with 300 calls at once its own (httpx) took five to thirty times the time each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from telegram import Update
from telegram.error import NetworkError, TimedOut
from telegram.request import BaseRequest, RequestData

from adapters.errors import without_texts

JSONDict = dict[str, Any]

# Seconds. Telegram answers in well under one; an answer that is given up on may be carried out all the same, and is
# then seen twice.
_READ_SECONDS = 12.0
_CONNECT_SECONDS = 8.0
# Waiting for a free connection is part of getting one: long enough for all conversations to have their turn.
_POOL_SECONDS = 30.0

_log = logging.getLogger(__name__)


class AiohttpRequest(BaseRequest):
    """At most `connections` at once; further calls wait. Errors never quote the address, which has the token."""

    def __init__(self, connections: int, proxy: str | None = None) -> None:
        self._connections = connections
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float | None:
        """Seconds without a byte of an answer until it is given up on."""
        return _READ_SECONDS

    async def initialize(self) -> None:
        """Make the session, inside the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections)
            self._session = aiohttp.ClientSession(connector=connector, proxy=self._proxy)

    async def shutdown(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = None,
        *_: Any,
        **__: Any,
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Raises TimedOut and NetworkError."""
        if self._session is None:
            raise NetworkError("not connected")
        # The library's mark for "not given" is no number.
        seconds = float(read_timeout) if isinstance(read_timeout, int | float) else _READ_SECONDS
        timeout = aiohttp.ClientTimeout(
            total=None, connect=_POOL_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=seconds
        )
        try:
            async with self._session.request(method, url, data=_body(request_data), timeout=timeout) as response:
                return response.status, await response.read()
        except TimeoutError:
            raise TimedOut from None
        except (aiohttp.ClientError, OSError) as error:
            raise NetworkError(type(error).__name__) from None


class PollingRequest(AiohttpRequest):
    """For getUpdates: an update that the library cannot read comes without its content, instead of failing them all.

    They would be asked for, and fail, for ever.
    """

    def __init__(self, proxy: str | None = None) -> None:
        super().__init__(1, proxy)

    @staticmethod
    def parse_json_payload(payload: bytes) -> JSONDict:
        """The answer as a dictionary. Raises TelegramError."""
        answer = BaseRequest.parse_json_payload(payload)
        if isinstance(answer.get("result"), list):
            answer["result"] = [_readable(update) for update in answer["result"]]
        return answer


def proxy_for(url: str) -> str | None:
    """The proxy of the environment (HTTPS_PROXY, NO_PROXY ...) for `url`; aiohttp would look it up for each call."""
    address = urlsplit(url)
    return None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)


def _readable(update: JSONDict) -> JSONDict:
    try:
        Update.de_json(update, None)
    except Exception as error:
        _log.error("An update cannot be read and is left out: %s", without_texts(error))
        return {"update_id": update["update_id"]}
    return update


def _body(request: RequestData | None) -> Mapping[str, str] | aiohttp.FormData | None:
    if request is None or not request.contains_files:
        return None if request is None else request.json_parameters
    # Names of files are Korean too; Telegram takes them as UTF-8, and would show them quoted.
    form = aiohttp.FormData(quote_fields=False)
    for name, value in request.json_parameters.items():
        form.add_field(name, value)
    for name, (file_name, content, kind) in request.multipart_data.items():
        form.add_field(name, content, filename=file_name, content_type=kind)
    return form
