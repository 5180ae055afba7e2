"""A script: what a server sends over the connection, step by step, including faults. Pure data that a server plays."""

from typing import Literal

from msgspec import Struct, field

from intellirouter.fake.reply import Reply


class Wait(Struct, frozen=True):
    """Send nothing for a while."""

    seconds: float


class Hang(Struct, frozen=True):
    """Send nothing until the client disconnects."""


class Cut(Struct, frozen=True):
    """Close the connection."""

    is_reset: bool = False
    """With RST instead of FIN."""


Step = bytes | Wait | Hang | Cut
Ending = Literal["keep", "announce", "idle", "next_request"]
"""What happens to the connection after a complete answer: it is kept; it is closed as announced by `connection: close`;
it is closed without notice after `idle_s`; it is closed when the next request arrives on it."""


class Script(Struct, kw_only=True):
    """One answer. `steps` are bytes of the body and the events between them."""

    status: int
    headers: list[tuple[str, str]]
    before_head: list[Step] = field(default_factory=list)
    """Waits and cuts before the status line; no bytes."""
    steps: list[Step]
    is_chunked: bool = False
    """True: `transfer-encoding: chunked`, one chunk per step. False: `content-length`, the size of all bytes in
    `steps`."""
    length_bytes: int | None = None
    """The announced length if it differs from that of `steps`."""
    ending: Ending = "keep"
    idle_s: float = 0.0

    @property
    def content_length(self) -> int:
        if self.length_bytes is not None:
            return self.length_bytes
        return sum(len(step) for step in self.steps if isinstance(step, bytes))


def script_of(reply: Reply) -> Script:
    """Return the script that sends a reply unchanged."""
    return Script(status=reply.status, headers=list(reply.headers), steps=list(reply.parts), is_chunked=reply.is_stream)
