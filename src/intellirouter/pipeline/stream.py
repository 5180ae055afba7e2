"""Relaying a stream: nothing is released before the first content, and the last bytes wait for settlement."""

from msgspec import Struct

from intellirouter.core import Loss, UpstreamResponse
from intellirouter.dialects import StreamRelay
from intellirouter.pipeline.delivery import Delivery


class OpenStream(Struct, frozen=True):
    """A stream that has its first content, or has ended without any."""

    response: UpstreamResponse
    relay: StreamRelay
    losses: tuple[Loss, ...]
    """What the request could not pass on."""
    first: bytes
    """What the client may have by now."""
    is_complete: bool
    """The upstream has sent everything; `first` is also the last."""

    def close(self) -> None:
        """Let go of the upstream. Idempotent."""
        _let_go(self.response, self.relay)


async def open_stream(response: UpstreamResponse, relay: StreamRelay, losses: tuple[Loss, ...]) -> OpenStream:
    """Read until the first content. Raises `UpstreamError`; the client knows nothing yet, so failover is free."""
    try:
        first = b""
        while not relay.has_content and not relay.is_finished:
            chunk = await response.next_chunk()
            if not chunk:
                break
            first = relay.feed(chunk)
        is_complete = not relay.has_content
        if is_complete:
            first = relay.end()  # raises for a stream that ends before it has any content
        response.content_began()
        return OpenStream(response, relay, losses, first, is_complete)
    except BaseException:
        _let_go(response, relay)
        raise


async def relay_stream(stream: OpenStream, delivery: Delivery) -> bytes:
    """Relay all but the last bytes, which are returned for the caller to send once the outcome is noted.

    The client has been sent the head. Raises `UpstreamError` when the upstream breaks off.
    """
    if stream.is_complete:
        return stream.first
    response, relay, out = stream.response, stream.relay, stream.first
    write = delivery.write if delivery.taps else delivery.reply.write
    while True:
        if out:
            await write(out)
        if relay.is_finished or not (chunk := await response.next_chunk()):
            return relay.end()
        out = relay.feed(chunk)


def _let_go(response: UpstreamResponse, relay: StreamRelay) -> None:
    if relay.is_finished:
        response.release()
    else:
        response.abort()
