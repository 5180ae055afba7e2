"""A list of embeddings, read and written. Source: OpenAI API reference, "The embedding object"."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import NO_USAGE, errors
from intellirouter.dialects.ir import EmbeddingResponse
from intellirouter.dialects.openai.errors import decode_error_in_200
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.openai_embeddings.vectors import decode_vector, encode_base64
from intellirouter.dialects.wire.sse import check_utf8

DIALECT: Final = "openai_chat"


class _Vector(Struct):
    embedding: Any = None
    index: Any = None


class _Answer(Struct):
    data: list[_Vector] | None = None
    model: Any = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


_decode_answer: Final = msgspec.json.Decoder(_Answer)


def encode_answer(answer: EmbeddingResponse, model: str, *, is_base64: bool) -> bytes:
    vectors: list[Any] = [encode_base64(vector) for vector in answer.vectors] if is_base64 else answer.vectors
    usage = answer.usage or NO_USAGE
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": model,
        "usage": {"prompt_tokens": usage.total_input_tokens, "total_tokens": usage.total_tokens},
    }
    return msgspec.json.encode(body)


def read_answer(body: bytes) -> EmbeddingResponse:
    """Read a 200 body. Raises `UpstreamMalformed`, or the error that it holds."""
    check_utf8(body)
    try:
        answer = _decode_answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(f"The upstream's answer is no list of embeddings: {error}") from None
    if answer.error:
        raise decode_error_in_200(body)
    if answer.data is None:
        raise errors.UpstreamMalformed("The upstream's answer has no `data`.")
    return EmbeddingResponse(
        model=answer.model if isinstance(answer.model, str) else "",
        vectors=[decode_vector(vector.embedding) for vector in _in_order(answer.data)],
        usage=decode_usage(answer.usage),
        dialect=DIALECT,
    )


def _in_order(vectors: list[_Vector]) -> list[_Vector]:
    """Sort by `index` where every vector says a different one; else the order they came in stands."""
    indices = [vector.index for vector in vectors]
    if not all(index.__class__ is int for index in indices) or len(set(indices)) < len(indices):
        return vectors
    return sorted(vectors, key=lambda vector: int(vector.index))
