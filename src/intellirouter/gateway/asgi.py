"""The shapes of ASGI, and the extensions of our own server."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESPOND: Final = "intellirouter.respond"
"""Our server's ASGI extension for whole responses: `(scope, status, header_lines, body) -> done`."""
HAS_BODY: Final = "intellirouter.has_body"
"""Our server's ASGI extension that tells whether the whole request body has come: `(scope) -> bool`."""
