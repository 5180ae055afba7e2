"""What a client of each dialect is sent while its stream is silent, so that nothing between them closes the connection.

Source: "Server-sent events", HTML Living Standard, which recommends comments for this purpose. Anthropic's own streams
contain `ping` events.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from intellirouter.core import Call

_SSE: Final = b"text/event-stream"


class KeepAlive(Struct, frozen=True):
    """How the streams of an endpoint are kept alive."""

    ping: Callable[[Call, bool], bytes]
    """Returns the bytes that clients ignore; empty if there are none. The second argument is whether the stream has had
    content. They may come between any two complete events."""
    has_comments: bool = False
    """Clients also ignore comments with other text."""


def is_sse(call: Call) -> bool:
    """Return whether the client of a stream gets server-sent events."""
    return call.stream_type.startswith(_SSE)


def _comment(call: Call, has_content: bool) -> bytes:  # noqa: ARG001, FBT001 - required by `KeepAlive.ping`
    return b": ping\n\n" if is_sse(call) else b""


def _blank_line(call: Call, has_content: bool) -> bytes:  # noqa: ARG001, FBT001
    return b"\r\n"


COMMENTS: Final = KeepAlive(_comment, has_comments=True)
"""A comment, if the stream has server-sent events. Other streams, such as audio, are not kept alive."""
BLANK_LINES: Final = KeepAlive(_blank_line)
"""For clients that do not know comments. Blank lines change neither server-sent events nor JSON."""
