"""HTTP requests of the host to its worker.

Imported on a thread when the first worker starts: httpx takes time and memory, which a gateway without local models
should not spend.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httpx


class WorkerHttp:
    """HTTP client for one worker's socket. `close` must be awaited."""

    def __init__(self, socket_path: str) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket_path, limits=httpx.Limits(max_keepalive_connections=0)),
            base_url="http://local-worker",
            trust_env=False,
        )

    async def is_healthy(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.get("/health", timeout=None)
        except (TimeoutError, httpx.HTTPError):
            return False
        return response.status_code == HTTPStatus.OK

    async def decode_one_token(self) -> tuple[str, Any]:
        """Return what went wrong as a phrase that follows the worker's name, and the response document.

        The phrase is empty if the worker has responded. The document has the log probability of the most likely token.
        """
        body = {"prompt": "Hello", "max_tokens": 1, "temperature": 0, "logprobs": 1, "cache_prompt": False}
        try:
            response = await self._client.post("/v1/completions", json=body, timeout=None)
        except httpx.HTTPError as error:
            return f"closed the connection during its first token ({str(error) or type(error).__name__})", None
        if response.status_code != HTTPStatus.OK:
            return f"responded to its first prompt with status {response.status_code} ({response.text[:200]})", None
        try:
            return "", response.json()
        except ValueError:
            return f"responded to its first prompt with invalid JSON ({response.text[:200]})", None

    async def close(self) -> None:
        await self._client.aclose()
