"""Decoding of lists of embeddings. Source: OpenAI API reference, "The embedding object"."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.ir import EmbeddingResponse
from intellirouter.dialects.openai.upstream_errors import decode_error_in_200
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.openai_embeddings.wire import DIALECT, decode_vector
from intellirouter.dialects.wire.large_json import check_size, decode_apart
from intellirouter.dialects.wire.sse import check_utf8


class _Vector(Struct):
    embedding: msgspec.Raw = msgspec.Raw(b"null")
    index: Any = None


class _Response(Struct):
    data: list[_Vector] | None = None
    model: Any = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


_decoder: Final = msgspec.json.Decoder()
_decode_response: Final = msgspec.json.Decoder(_Response)


def decode_response(body: bytes) -> EmbeddingResponse:
    """Decode the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
    check_utf8(body)
    check_size(body, counts_values=False)
    try:
        response = _decode_response.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(
            f"The upstream returned an invalid list of embeddings: {describe_json_error(error)}."
        ) from None
    if response.error:
        raise decode_error_in_200(body)
    if response.data is None:
        raise errors.UpstreamMalformed("The upstream returned a list of embeddings without `data`.")
    return EmbeddingResponse(
        model=response.model if isinstance(response.model, str) else "",
        vectors=[decode_vector(decode_apart(_decoder, vector.embedding)) for vector in _in_order(response.data)],
        usage=decode_usage(response.usage),
        dialect=DIALECT,
    )


def _in_order(vectors: list[_Vector]) -> list[_Vector]:
    """Return the vectors sorted by `index` if each has a different one, otherwise unchanged."""
    indices = [vector.index for vector in vectors]
    if not all(index.__class__ is int for index in indices) or len(set(indices)) < len(indices):
        return vectors
    return sorted(vectors, key=lambda vector: int(vector.index))
