"""Decoded requests whose bodies repeat byte by byte, so that answering them from the cache needs no decoding.

A request is remembered after the cache has answered it once. What is remembered is the call as it was decoded, before
anything of its tenant or of its attempts was added, and each request gets a copy of its own.
"""

import copy
from typing import Final

from intellirouter.core import Call, RequestContext
from intellirouter.dialects import Endpoint

_MAX_BODY_BYTES: Final = 16 * 1024
_MAX_BYTES: Final = 4 * 1024 * 1024
"""The sizes of all bodies. The calls take about as much again."""

_Where = tuple[str, RequestContext]


class RecentCalls:
    """One per generation. Use it on one event loop only."""

    def __init__(self) -> None:
        self._calls: dict[_Where, dict[bytes, Call | None]] = {}
        """None: the request will be remembered when it is decoded the next time."""
        self._bytes = 0

    def copy_of(self, endpoint: Endpoint, body: bytes, context: RequestContext) -> Call | None:
        """Return a copy of the decoded request; None if it is not remembered."""
        calls = self._calls.get((endpoint.name, context))
        if calls is None or (call := calls.get(body)) is None:
            return None
        return copy.copy(call)

    def expect(self, endpoint: Endpoint, body: bytes, context: RequestContext) -> None:
        """Remember this request when it is decoded the next time."""
        if not endpoint.decodes_alike or len(body) > _MAX_BODY_BYTES:
            return
        where = endpoint.name, context
        if (calls := self._calls.get(where)) is not None and body in calls:
            return
        self._bytes += len(body)
        if self._bytes > _MAX_BYTES:
            self._calls, self._bytes = {}, len(body)
        self._calls.setdefault(where, {})[body] = None

    def offer(self, endpoint: Endpoint, body: bytes, context: RequestContext, call: Call) -> None:
        """Remember a request that has just been decoded, if it is expected."""
        calls = self._calls.get((endpoint.name, context))
        if calls is not None and body in calls:
            calls[body] = copy.copy(call)
