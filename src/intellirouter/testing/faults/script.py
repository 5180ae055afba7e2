"""A script: what goes over the connection, step by step, the broken parts included. Pure data; servers play it."""

from typing import Literal

from msgspec import Struct, field

from intellirouter.testing.wires.shared import Reply


class Wait(Struct, frozen=True):
    """Send nothing for a while."""

    seconds: float


class Hang(Struct, frozen=True):
    """Send nothing until the client leaves."""


class Cut(Struct, frozen=True):
    """End the connection here."""

    is_reset: bool = False
    """With RST instead of FIN."""


Step = bytes | Wait | Hang | Cut
Ending = Literal["keep", "announce", "idle", "next_request"]
"""What becomes of the connection after a complete answer: kept; closed as `connection: close` said; closed without
a word after `idle_s`; closed when the next request has arrived on it."""


class Script(Struct, kw_only=True):
    """One answer. `steps` are body bytes and what happens between them."""

    status: int
    headers: list[tuple[str, str]]
    before_head: list[Step] = field(default_factory=list)
    """Waits and cuts before the status line; no bytes."""
    steps: list[Step]
    is_chunked: bool = False
    """True: `transfer-encoding: chunked`, one chunk a step. False: `content-length`, of all bytes in `steps`."""
    length_bytes: int | None = None
    """The announced length where it is not that of `steps`."""
    ending: Ending = "keep"
    idle_s: float = 0.0

    @property
    def content_length(self) -> int:
        if self.length_bytes is not None:
            return self.length_bytes
        return sum(len(step) for step in self.steps if isinstance(step, bytes))


def script_of(reply: Reply) -> Script:
    """Play a reply as it is."""
    return Script(status=reply.status, headers=list(reply.headers), steps=list(reply.parts), is_chunked=reply.is_stream)
