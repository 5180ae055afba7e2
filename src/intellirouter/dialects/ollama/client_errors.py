"""Encoding and decoding of Ollama's errors: `{"error": "MESSAGE"}`, also as a line of a stream.

Source: Ollama's `docs/api/errors.mdx`, `server/routes.go`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from intellirouter.core import Clock, errors
from intellirouter.dialects.openai import errors as openai_errors

_UNSUPPORTED: Final = "does not support"
"""`MODEL does not support tools` (thinking, vision, generate, …). Another model may support it."""
_TOO_LONG: Final = ("context length", "context window", "exceeds the available context")


class OllamaErrors:
    """Implements `protocols.ErrorStyle`."""

    id_header: bytes | None = None

    def status(self, error: errors.GatewayError) -> int:
        return error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        return msgspec.json.encode({"error": error.full_message})

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return self.encode(error) + b"\n"


ERRORS: Final = OllamaErrors()


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Return the gateway error for an error response. The message decides where the status is ambiguous."""
    if status == 499:
        status = 503  # Ollama has canceled the request, not the client.
    error = openai_errors.decode_error(status, headers, body, deployment=deployment, clock=clock)
    if not isinstance(error, errors.UpstreamRejected):
        return error
    if _UNSUPPORTED in error.message:
        return errors.UnsupportedFeature(f"{deployment}: {errors.as_sentence(error.message)}")
    if any(phrase in error.message for phrase in _TOO_LONG):
        error.code = "context_length_exceeded"
    return error
