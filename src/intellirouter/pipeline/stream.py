"""Relays a stream. Nothing is sent before the first content, and the last bytes are sent after the settlement."""

from msgspec import Struct

from intellirouter.core import Loss, UpstreamResponse
from intellirouter.dialects import StreamRelay
from intellirouter.pipeline.delivery import Delivery


class OpenStream(Struct, frozen=True):
    """A stream whose first content has arrived, or that has ended without content."""

    response: UpstreamResponse
    relay: StreamRelay
    losses: tuple[Loss, ...]
    """Fields that the request did not pass on as requested."""
    first: bytes
    """The first bytes for the client."""
    is_complete: bool
    """The upstream has sent everything; `first` is the whole stream."""

    def close(self) -> None:
        """Release or abort the upstream response. Idempotent."""
        _close(self.response, self.relay)


async def open_stream(response: UpstreamResponse, relay: StreamRelay, losses: tuple[Loss, ...]) -> OpenStream:
    """Read until the first content. Raises `UpstreamError`; nothing has been sent, so another attempt is possible."""
    try:
        first = b""
        while not relay.has_content and not relay.is_finished:
            chunk = await response.next_chunk()
            if not chunk:
                break
            first = relay.feed(chunk)
        is_complete = not relay.has_content
        if is_complete:
            first = relay.end()  # raises an error if the stream ended too early
        response.content_began()
        return OpenStream(response, relay, losses, first, is_complete)
    except BaseException:
        _close(response, relay)
        raise


async def relay_stream(stream: OpenStream, delivery: Delivery) -> bytes:
    """Relay all but the last bytes. The caller sends these after it has recorded the outcome.

    Call it after the response headers have been sent. Raises `UpstreamError` if the upstream breaks off.
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


def _close(response: UpstreamResponse, relay: StreamRelay) -> None:
    if relay.is_finished:
        response.release()
    else:
        response.abort()
