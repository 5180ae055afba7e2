"""Refuses request bodies that are compressed."""

from collections.abc import Mapping

from intellirouter.core import errors


def encoding_refusal(headers: Mapping[bytes, bytes]) -> errors.UnsupportedMediaType | None:
    """Return the error for a compressed body; None if it is not compressed."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding in {b"", b"identity"}:
        return None
    return errors.UnsupportedMediaType(
        f"The content encoding '{encoding.decode('latin-1')[:50]}' is not supported.",
        hint="Send the body without compression.",
    )
