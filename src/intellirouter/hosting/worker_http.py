"""What a host asks of its worker over HTTP.

Imported only when the first worker starts, on a thread: the library behind it takes time and memory, which nobody
who hosts no model should pay.
"""

import asyncio
from http import HTTPStatus

import httpx


class WorkerHttp:
    """One worker's socket. `close` must be awaited."""

    def __init__(self, socket_path: str) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket_path, limits=httpx.Limits(max_keepalive_connections=0)),
            base_url="http://localhost",
            trust_env=False,
        )

    async def is_healthy(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.get("/health", timeout=None)
        except (TimeoutError, httpx.HTTPError):
            return False
        return response.status_code == HTTPStatus.OK

    async def decode_one_token(self) -> str | None:
        """Return what went wrong, in words that follow the worker's name, or None."""
        body = {"prompt": "Hello", "max_tokens": 1, "cache_prompt": False}
        try:
            response = await self._client.post("/v1/completions", json=body, timeout=None)
        except httpx.HTTPError as error:
            return f"broke off its first token ({str(error) or type(error).__name__})"
        if response.status_code != HTTPStatus.OK:
            return f"answered {response.status_code} to its first prompt: {response.text[:200]}"
        return None

    async def close(self) -> None:
        await self._client.aclose()
