"""WebSocket connections to the gateway, and a client of `/v1/ws`."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess

PATIENCE_S = 10.0


def url_of(gateway: GatewayProcess, path: str) -> str:
    return gateway.url.replace("http", "ws", 1) + path


@contextlib.asynccontextmanager
async def open_socket(
    gateway: GatewayProcess, path: str, *, key: str | None = KEYS["ann"], **options: Any
) -> AsyncIterator[ClientConnection]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    headers |= options.pop("headers", {})
    async with connect(url_of(gateway, path), additional_headers=headers, proxy=None, **options) as link:
        yield link


async def rejected_handshake(
    gateway: GatewayProcess, path: str, **options: Any
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, error and headers of a handshake that the gateway rejects."""
    try:
        async with open_socket(gateway, path, **options):
            raise AssertionError("The gateway accepted the handshake.")
    except InvalidStatus as error:
        response = error.response
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        return response.status_code, json.loads(bytes(response.body or b"{}"))["error"], headers


class Frames:
    """Sends frames, and collects the received frames by request."""

    def __init__(self, link: ClientConnection) -> None:
        self.link = link
        self.received: dict[str | None, list[dict[str, Any]]] = {}

    async def send(self, **frame: Any) -> None:
        await self.link.send(json.dumps(frame))

    async def create(self, name: str, model: str, text: str = "hello", **members: Any) -> None:
        request = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        await self.send(type="chat.create", id=name, request=request)

    async def next(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.link.recv())
        self.received.setdefault(frame.get("id"), []).append(frame)
        return frame

    async def last(self, name: str | None) -> dict[str, Any]:
        """Receive frames until the last frame of a request (or of no request, for None) has arrived."""
        while not (self.received.get(name) and is_last(self.received[name][-1])):
            await self.next()
        return self.received[name][-1]

    def text(self, name: str) -> str:
        """Return the text in the chunks of a request."""
        return "".join(
            choice["delta"].get("content") or ""
            for frame in self.received[name]
            if frame["type"] == "chat.chunk"
            for choice in frame["chunk"]["choices"]
        )


def is_last(frame: dict[str, Any]) -> bool:
    return frame["type"] in {"chat.completed", "chat.canceled", "error"}
