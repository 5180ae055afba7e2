"""The intermediate form of embeddings requests and responses."""

from typing import Any, Literal

from msgspec import Struct, field

from intellirouter.core import Usage
from intellirouter.dialects.ir.parts import Extras


class EmbeddingRequest(Struct, kw_only=True):
    dialect: str
    model: str
    inputs: list[str | list[int]]
    """Texts, or lists of token ids (OpenAI only)."""
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    """The encoding that the client wants. Where an upstream only returns numbers, the gateway converts them."""
    task: str = ""
    """Gemini's `taskType` or Cohere's `input_type`."""
    title: str = ""
    user: str = ""
    is_single: bool = False
    """Whether the client sent a single input instead of a list."""
    extras: Extras = field(default_factory=dict)


class EmbeddingResponse(Struct, kw_only=True):
    model: str = ""
    vectors: list[list[float]] = field(default_factory=list)
    """One vector per input, in the same order."""
    usage: Usage | None = None
    dialect: str = ""
    extras: dict[str, Any] = field(default_factory=dict)
