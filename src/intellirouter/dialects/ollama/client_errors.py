"""Ollama's errors, both ways: `{"error": "MESSAGE"}`, and the same as a line of a stream.

Source: Ollama's `docs/api/errors.mdx`, `server/routes.go`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from intellirouter.core import Clock, errors
from intellirouter.dialects.openai import errors as openai_errors

_LACKS: Final = "does not support"
"""`MODEL does not support tools` (thinking, vision, generate, …): another model may."""
_TOO_LONG: Final = ("context length", "context window", "exceeds the available context")


class OllamaErrors:
    """Implements `route.ErrorStyle`."""

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
    """Turn an error answer into ours. The words say more than the status."""
    if status == 499:
        status = 503  # it was Ollama that cancelled: we are still here
    error = openai_errors.decode_error(status, headers, body, deployment=deployment, clock=clock)
    if not isinstance(error, errors.UpstreamRejected):
        return error
    if _LACKS in error.message:
        return errors.UnsupportedFeature(f"{deployment}: {error.message}.")
    if any(words in error.message for words in _TOO_LONG):
        error.code = "context_length_exceeded"
    return error
