"""Reading a request body: whole, bounded in size and time."""

import asyncio

from intellirouter.core import errors
from intellirouter.gateway.asgi import Receive


def check_body(headers: dict[bytes, bytes], limit_bytes: int, *, is_json: bool = True) -> None:
    """Refuse a body for what its headers say. Raises `BodyTooLarge`, `UnsupportedMediaType`."""
    if is_json:
        _check_media_type(headers)
    length = headers.get(b"content-length", b"0")
    if int(length if length.isdigit() else b"0") > limit_bytes:
        raise _too_large(limit_bytes)


async def take_body(receive: Receive, limit_bytes: int) -> bytes:
    """Return a body that has come already. Raises `BodyTooLarge`, `ClientDisconnected`."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _gone()
    body: bytes = message.get("body", b"")
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return body


async def read_body(receive: Receive, *, limit_bytes: int, deadline_s: float) -> bytes:
    """Return the body as it comes. Raises `BodyTooLarge`, `RequestTimeout`, `ClientDisconnected`."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _gone()
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


def _gone() -> errors.ClientDisconnected:
    return errors.ClientDisconnected("The client closed the connection while sending.")


def _check_media_type(headers: dict[bytes, bytes]) -> None:
    """Accept JSON only. A web page cannot send that across origins without asking first, so this also keeps foreign
    pages from using a gateway that asks for no key.
    """
    declared = headers.get(b"content-type")
    if declared == b"application/json" and b"content-encoding" not in headers:
        return
    if declared is None:
        if b"origin" in headers:
            raise errors.UnsupportedMediaType("Send `Content-Type: application/json`.")
        return
    kind = declared.split(b";", 1)[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise errors.UnsupportedMediaType(
            f"Unsupported content type '{kind.decode('latin-1')[:100]}'. Send `Content-Type: application/json`."
        )
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding != b"identity":
        raise errors.UnsupportedMediaType(f"Unsupported content encoding '{encoding.decode('latin-1')[:50]}'.")
