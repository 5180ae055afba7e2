"""Relaying a stream: silent until the first content, backpressure all the way, the last bytes held for settlement."""

from collections.abc import Callable

from intellirouter.core import UpstreamResponse
from intellirouter.dialects import StreamRelay
from intellirouter.pipeline.exchange import Headers, Reply


async def relay_stream(
    response: UpstreamResponse,
    relay: StreamRelay,
    reply: Reply,
    *,
    stream_type: bytes,
    on_first_content: Callable[[], Headers],
    kept: list[bytes] | None,
) -> bytes:
    """Relay all but the last bytes, which are returned for the caller to send once the exchange is settled.

    Raises `UpstreamError`; while `reply.has_begun` is false the client knows nothing and failover is free.
    `on_first_content` is called once and returns the head's headers. `kept` collects what was sent.
    """
    out = b""
    while not relay.has_content and not relay.is_finished:
        chunk = await response.next_chunk()
        if not chunk:
            break
        out = relay.feed(chunk)
    is_over = not relay.has_content
    last = relay.end() if is_over else b""  # raises for a stream that ends before it says anything
    response.content_began()
    await reply.begin(on_first_content(), stream_type)
    if is_over:
        return last
    while True:
        if out:
            await reply.write(out)
            if kept is not None:
                kept.append(out)
        if relay.is_finished or not (chunk := await response.next_chunk()):
            return relay.end()
        out = relay.feed(chunk)
