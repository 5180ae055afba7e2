"""ASGI types, and the ASGI extensions of the gateway's server."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESPOND: Final = "intellirouter.respond"
"""The extension that sends a complete response at once: `(scope, status, header_lines, body) -> is_sent`."""
HAS_BODY: Final = "intellirouter.has_body"
"""The extension that returns whether the complete request body has arrived: `(scope) -> bool`."""
