"""Every answer of the control plane carries `x-request-id`, those of the framework itself included."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from intellirouter.core import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


def with_request_ids(app: App) -> App:
    """Return `app` with the header on whatever it answers."""

    async def identified(scope: Scope, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(b"x-request-id", new_id("req_").encode()), *message.get("headers", ())]
            await send(message)

        await app(scope, receive, send_identified)

    return identified
