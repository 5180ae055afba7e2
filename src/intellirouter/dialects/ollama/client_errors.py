"""Encoding of errors for Ollama's clients: `{"error": "MESSAGE"}`, also as a line of a stream.

Source: Ollama's `docs/api/errors.mdx`, `server/routes.go`.
"""

from typing import Final

import msgspec

from intellirouter.core import errors


class OllamaErrors:
    """Implements `protocols.ErrorStyle`."""

    id_header: bytes | None = None
    models_path: str = "/api/tags"

    def status(self, error: errors.GatewayError) -> int:
        return error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        return msgspec.json.encode({"error": errors.join_sentences(error.located_message, error.hint)})

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return self.encode(error) + b"\n"


ERRORS: Final = OllamaErrors()
