"""Decoding of Ollama's errors: `{"error": "MESSAGE"}`. Source: Ollama's `docs/api/errors.mdx`, `server/routes.go`."""

from collections.abc import Sequence
from typing import Final

from intellirouter.core import Clock, errors
from intellirouter.dialects.openai import upstream_errors

_UNSUPPORTED: Final = "does not support"
"""`MODEL does not support tools` (thinking, vision, generate, …). Another model may support it."""


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Return the gateway error for an error response. The message decides where the status is ambiguous."""
    if status == 499:
        status = 503  # Ollama has canceled the request, not the client.
    error = upstream_errors.decode_error(status, headers, body, deployment=deployment, clock=clock)
    if not isinstance(error, errors.UpstreamRejected):
        return error
    if _UNSUPPORTED in error.message:
        return errors.UnsupportedFeature(errors.as_sentence(f"{deployment}: {error.message}"))
    return error
