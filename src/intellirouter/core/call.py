"""A decoded request, as far as routing and execution need to know it; the wire form stays with its codec."""

from typing import Any, Literal

from msgspec import Struct

Surface = Literal["chat", "embeddings"]


class Call(Struct, kw_only=True):
    """What a client wants. `body` is kept verbatim: every attempt is encoded afresh from it."""

    surface: Surface
    model: str
    body: bytes
    is_stream: bool = False
    wants_usage: bool = False
    """The client itself asked for the usage chunk of a stream."""
    needs: frozenset[str] = frozenset()
    """Capabilities the request relies on: `tools`, `vision`, `audio`, `json_schema`, …"""
    max_output_tokens: int | None = None
    source: Any = None
    """The codec's own decoded form."""
