"""The client side: `POST /v1/embeddings`. Source: OpenAI API reference, "Create embeddings"."""

from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, Call, LossReport, RequestContext, errors
from intellirouter.dialects.calls import EmbeddingsCall
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.openai_embeddings.client_response import encode_response
from intellirouter.dialects.openai_embeddings.passthrough import (
    EmbeddingsBody,
    EmbeddingsPassthrough,
    source_of,
    wants_base64,
)
from intellirouter.dialects.openai_embeddings.wire import DIALECT
from intellirouter.dialects.wire.answer_estimate import estimated_usage
from intellirouter.dialects.wire.request_validation import decode_body

_PASSTHROUGH: Final = EmbeddingsPassthrough()
_KNOWN: Final = frozenset(EmbeddingsBody.__struct_fields__)
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])


class EmbeddingsClient:
    """Clients of `POST /embeddings`. Implements `protocols.EmbeddingsClient`."""

    dialect = DIALECT
    field_names: dict[str, str] = {"encoding": "encoding_format"}  # noqa: RUF012 - required by the protocol

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> EmbeddingsCall:
        return _PASSTHROUGH.decode_request(body, context)

    def decode(self, call: Call) -> EmbeddingRequest:
        request = source_of(call)
        body: dict[str, Any] = decode_body(_decode_object, call.body)
        return EmbeddingRequest(
            dialect=DIALECT,
            model=call.model,
            inputs=_inputs(request.input),
            dimensions=request.dimensions,
            encoding="base64" if request.encoding_format == "base64" else "float",
            user=request.user or "",
            is_single=not isinstance(request.input, list) or isinstance(request.input[0], int),
            extras={name: value for name, value in body.items() if name not in _KNOWN and value is not None},
        )

    def encode(self, response: EmbeddingResponse, call: Call, losses: LossReport) -> bytes:
        if response.usage is None:
            response = structs.replace(response, usage=estimated_usage(call, losses, None))
        return encode_response(response, response.model or call.model, is_base64=wants_base64(call))


def _inputs(value: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """Return the inputs, which are one text, a list of texts, one list of tokens, or a list of lists of tokens."""
    if isinstance(value, str):
        return [value]
    texts = [item for item in value if isinstance(item, str)]
    tokens = [item for item in value if isinstance(item, int)]
    lists = [item for item in value if isinstance(item, list)]
    if len(texts) == len(value):
        return [*texts]
    if len(tokens) == len(value):
        return [tokens]
    if len(lists) == len(value):
        return [*lists]
    raise errors.InvalidRequest(
        "Invalid 'input': expected a string, an array of strings, an array of integers or an array of arrays of "
        "integers, but got an array of mixed types instead.",
        code="invalid_value",
        param="input",
    )
