"""What the tests of WebSockets share: a client of `/v1/ws`, and how to open a socket on the gateway."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from gateway_process import GatewayProcess
from shared_fixtures import KEYS
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

PATIENCE_S = 10.0


def url_of(gateway: GatewayProcess, path: str) -> str:
    return gateway.url.replace("http", "ws", 1) + path


@contextlib.asynccontextmanager
async def opened(
    gateway: GatewayProcess, path: str, *, key: str | None = KEYS["ann"], **options: Any
) -> AsyncIterator[ClientConnection]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    headers |= options.pop("headers", {})
    async with connect(url_of(gateway, path), additional_headers=headers, proxy=None, **options) as link:
        yield link


async def refused(gateway: GatewayProcess, path: str, **options: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, error and headers of a handshake that is answered with an error."""
    try:
        async with opened(gateway, path, **options):
            raise AssertionError("the handshake was accepted")
    except InvalidStatus as answered:
        response = answered.response
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        return response.status_code, json.loads(bytes(response.body or b"{}"))["error"], headers


class Frames:
    """Sends frames, and sorts what comes by request."""

    def __init__(self, link: ClientConnection) -> None:
        self.link = link
        self.seen: dict[str | None, list[dict[str, Any]]] = {}

    async def send(self, **frame: Any) -> None:
        await self.link.send(json.dumps(frame))

    async def create(self, name: str, model: str, text: str = "hello", **members: Any) -> None:
        request = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        await self.send(type="chat.create", id=name, request=request)

    async def next(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.link.recv())
        self.seen.setdefault(frame.get("id"), []).append(frame)
        return frame

    async def last(self, name: str | None) -> dict[str, Any]:
        """Read on until the last frame of a request (or of none) has come."""
        while not (self.seen.get(name) and is_last(self.seen[name][-1])):
            await self.next()
        return self.seen[name][-1]

    def text(self, name: str) -> str:
        """Return what a request's chunks say."""
        return "".join(
            choice["delta"].get("content") or ""
            for frame in self.seen[name]
            if frame["type"] == "chat.chunk"
            for choice in frame["chunk"]["choices"]
        )


def is_last(frame: dict[str, Any]) -> bool:
    return frame["type"] in {"chat.completed", "chat.canceled", "error"}
