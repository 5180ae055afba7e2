"""Adds `x-request-id` to every response of the control plane, including those that the framework creates."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from intellirouter.core import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


def with_request_ids(app: App) -> App:
    """Return `app` with the header on each of its responses."""

    async def app_with_ids(scope: Scope, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(b"x-request-id", new_id("req_").encode()), *message.get("headers", ())]
            await send(message)

        await app(scope, receive, send_with_id)

    return app_with_ids
