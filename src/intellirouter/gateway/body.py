"""Reads request bodies, limited in size and time."""

import asyncio
from typing import Final

from intellirouter.core import errors
from intellirouter.gateway.asgi import Receive

_CONTENT_TYPE_HINT: Final = "Send `Content-Type: application/json`."


def check_body(headers: dict[bytes, bytes], limit_bytes: int, *, is_json: bool = True) -> None:
    """Check the headers of a body. Raises `BodyTooLarge`, `UnsupportedMediaType`."""
    if is_json:
        _check_media_type(headers)
    length = headers.get(b"content-length", b"0")
    if int(length if length.isdigit() else b"0") > limit_bytes:
        raise _too_large(limit_bytes)


async def take_body(receive: Receive, limit_bytes: int) -> bytes:
    """Return a body that has already arrived. Raises `BodyTooLarge`, `ClientDisconnected`."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _disconnected()
    body: bytes = message.get("body", b"")
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return body


async def read_body(receive: Receive, *, limit_bytes: int, deadline_s: float) -> bytes:
    """Wait for the whole body. Raises `BodyTooLarge`, `RequestTimeout`, `ClientDisconnected`."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _disconnected()
                piece: bytes = message.get("body", b"")
                parts.append(piece)
                size += len(piece)
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise errors.RequestTimeout(f"The request body did not arrive within {deadline_s:g} s.") from None


def _too_large(limit_bytes: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(f"The request body is larger than {limit_bytes} bytes.")


def _disconnected() -> errors.ClientDisconnected:
    return errors.ClientDisconnected("The client closed the connection while it was sending the request body.")


def _check_media_type(headers: dict[bytes, bytes]) -> None:
    """Accept JSON only.

    Browsers send JSON to another origin only after a preflight request. So this also keeps web pages of other origins
    from using a gateway that requires no key.
    """
    declared = headers.get(b"content-type")
    if declared == b"application/json" and b"content-encoding" not in headers:
        return
    if declared is None:
        if b"origin" in headers:
            raise errors.UnsupportedMediaType("The request has no content type.", hint=_CONTENT_TYPE_HINT)
        return
    kind = declared.split(b";", 1)[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise errors.UnsupportedMediaType(
            f"The content type '{kind.decode('latin-1')[:100]}' is not supported.", hint=_CONTENT_TYPE_HINT
        )
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding != b"identity":
        raise errors.UnsupportedMediaType(
            f"The content encoding '{encoding.decode('latin-1')[:50]}' is not supported.",
            hint="Send the body without compression.",
        )
