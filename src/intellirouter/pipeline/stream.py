"""Relays a stream. Nothing is sent before the first content, and the last bytes are sent after the settlement.

Whatever an upstream sends at once is processed in slices, between which other requests continue. A large event cannot
be sliced, so it is processed off the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from msgspec import Struct

from intellirouter.core import Loss, OffLoop, Secret, UpstreamResponse, errors, mask_credentials_in_bytes
from intellirouter.dialects import StreamRelay
from intellirouter.pipeline.answer_bytes import TEXT_STARTS, content_encoding, is_cut_mark, without_byte_order_mark
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.large_answers import run_large

_SLICE_BYTES: Final = 16 * 1024
"""How much of a stream is processed at a time. It takes at most about 10 ms."""
_MAX_BLANK_BYTES: Final = 4 * 1024
"""How much white space before a JSON document is skipped."""
_TURN_S: Final = 0.005
"""After this time, other requests have their turn."""


class OpenStream(Struct):
    """A stream whose first content has arrived, or that has ended without content."""

    response: UpstreamResponse
    relay: StreamRelay
    losses: tuple[Loss, ...]
    """Fields that the request did not pass on as requested."""
    first: bytes
    """The first bytes for the client."""
    is_complete: bool
    """The upstream has sent everything; `first` is the whole stream."""
    off_loop: OffLoop
    received_bytes: int = 0
    """The size of what the upstream has sent."""
    secrets: tuple[Secret, ...] = ()
    """Masked in the upstream's error event, which is relayed."""

    def close(self) -> None:
        """Release or abort the upstream response. Idempotent."""
        _close(self.response, self.relay)


async def open_stream(
    response: UpstreamResponse,
    relay: StreamRelay,
    losses: tuple[Loss, ...],
    off_loop: OffLoop,
    relay_whole: Callable[[], StreamRelay | None],
    secrets: tuple[Secret, ...] = (),
) -> OpenStream:
    """Read until the first content. Raises `UpstreamError`; nothing has been sent, so another attempt is possible.

    `relay_whole` returns the relay for a JSON document instead of a stream.
    """
    try:
        first = b""
        received = 0
        while not relay.has_content and not relay.is_finished:
            chunk = await response.next_chunk()
            if not chunk:
                break
            if not received:
                if not chunk.startswith(TEXT_STARTS):
                    _check_uncompressed(response)
                    chunk = await _first_text(response, chunk)
                if chunk.startswith(b"{"):
                    relay = relay_whole() or relay
            received += len(chunk)
            if len(chunk) <= _SLICE_BYTES and not relay.is_heavy:
                first = relay.feed(chunk)
            else:
                pieces = _Pieces()
                await _feed_slices(chunk, relay, off_loop, pieces.write)
                first = b"".join(pieces.written)
        is_complete = not relay.has_content
        if is_complete:
            first = await _end(relay, off_loop)  # raises an error if the stream ended too early
        response.content_began(relay)
        return OpenStream(response, relay, losses, first, is_complete, off_loop, received, secrets)
    except BaseException:
        _close(response, relay)
        raise


async def _first_text(response: UpstreamResponse, chunk: bytes) -> bytes:
    """Return the beginning without a byte order mark, and without white space before a JSON document.

    Waits for more bytes if these may be only a part of that.
    """
    while len(chunk) < _MAX_BLANK_BYTES:
        text = without_byte_order_mark(chunk)
        stripped = text.lstrip()
        if stripped and not is_cut_mark(chunk):
            return stripped if stripped.startswith(b"{") else text
        if not (more := await response.next_chunk()):
            break
        chunk += more
    return without_byte_order_mark(chunk)


async def relay_stream(stream: OpenStream, delivery: Delivery) -> bytes:
    """Relay all but the last bytes. The caller sends these after it has recorded the outcome.

    Call it after the response headers have been sent. Raises `UpstreamError` if the upstream breaks off.
    """
    if stream.is_complete:
        return stream.first
    response, relay, out = stream.response, stream.relay, stream.first
    write = delivery.write if delivery.taps else delivery.reply.write
    while not relay.is_finished:
        if out:
            await write(out)
        if not (chunk := await response.next_chunk()):
            return await _last_bytes(stream)
        stream.received_bytes += len(chunk)
        if len(chunk) <= _SLICE_BYTES and not relay.is_heavy:
            out = relay.feed(chunk)
        else:
            out = b""
            await _feed_slices(chunk, relay, stream.off_loop, write)
    try:
        last = await _last_bytes(stream)
    except errors.GatewayError:
        await write(out)  # what came before the error
        raise
    return out + last  # one packet for what has arrived in one


async def _last_bytes(stream: OpenStream) -> bytes:
    last = await _end(stream.relay, stream.off_loop)
    return last if stream.relay.error is None else _without_secrets(last, stream)


def _check_uncompressed(response: UpstreamResponse) -> None:
    """Raise `UpstreamMalformed` for a compressed stream. A relay of audio, for one, would not notice."""
    if content_encoding(response.headers):
        raise errors.UpstreamMalformed("The upstream's stream is compressed.")


def _without_secrets(data: bytes, stream: OpenStream) -> bytes:
    return mask_credentials_in_bytes(data, stream.secrets)


async def _feed_slices(
    chunk: bytes, relay: StreamRelay, off_loop: OffLoop, write: Callable[[bytes], Awaitable[None]]
) -> None:
    """Feed a large chunk, or a part of a large event, to the relay, and write what the client gets."""
    now_s = asyncio.get_running_loop().time
    turn_ends_s = now_s() + _TURN_S
    ready: list[bytes] = []
    try:
        for start in range(0, len(chunk), _SLICE_BYTES):
            if relay.is_finished:
                break
            piece = chunk[start : start + _SLICE_BYTES]
            if relay.is_heavy:
                ready.append(await run_large(off_loop, relay.buffered_bytes, partial(relay.feed, piece)))
            else:
                ready.append(relay.feed(piece))
            if now_s() >= turn_ends_s:
                await _write_all(ready, write)
                await asyncio.sleep(0)
                turn_ends_s = now_s() + _TURN_S
    except errors.GatewayError:
        await _write_all(ready, write)  # what came before the error
        raise
    await _write_all(ready, write)


async def _write_all(pieces: list[bytes], write: Callable[[bytes], Awaitable[None]]) -> None:
    """Write the pieces at once, and clear the list."""
    data = b"".join(pieces)
    pieces.clear()
    if data:
        await write(data)


async def _end(relay: StreamRelay, off_loop: OffLoop) -> bytes:
    """Return the last bytes. They may include a large event that no blank line has ended."""
    return await run_large(off_loop, relay.buffered_bytes, relay.end) if relay.is_heavy else relay.end()


class _Pieces:
    """Collects the first bytes for the client."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.written.append(data)


def _close(response: UpstreamResponse, relay: StreamRelay) -> None:
    if relay.is_finished and not isinstance(relay.error, errors.UpstreamMalformed):
        response.release()
    else:
        response.abort()
