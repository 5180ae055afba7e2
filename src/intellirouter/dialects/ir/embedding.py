"""Embeddings in a form of their own: inputs in order, vectors in order."""

from typing import Any, Literal

from msgspec import Struct, field

from intellirouter.core import Usage
from intellirouter.dialects.ir.parts import Extras


class EmbeddingRequest(Struct, kw_only=True):
    dialect: str
    model: str
    inputs: list[str | list[int]]
    """Texts, or token ids (OpenAI only)."""
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    """What the client wants; upstreams that know only floats are converted."""
    task: str = ""
    """Gemini's `taskType`, Cohere's `input_type`."""
    title: str = ""
    user: str = ""
    is_single: bool = False
    """The client sent one input, not a list of one."""
    extras: Extras = field(default_factory=dict)


class EmbeddingResponse(Struct, kw_only=True):
    model: str = ""
    vectors: list[list[float]] = field(default_factory=list)
    """One per input, in order."""
    usage: Usage | None = None
    dialect: str = ""
    extras: dict[str, Any] = field(default_factory=dict)
