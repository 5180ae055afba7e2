"""Ollama's embeddings for clients: `POST /api/embed`, and the older `POST /api/embeddings` with one prompt."""

from typing import Any, Final

import msgspec
from msgspec import field

from intellirouter.core import EMPTY_CONTEXT, Call, LossReport, RequestContext, errors
from intellirouter.dialects.calls import EmbeddingsCall, narrow_call
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.ollama.wire import DIALECT, OPTION_PREFIX, now_ns
from intellirouter.dialects.wire.large_json import encode_apart
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_NEEDS: Final = frozenset({"embeddings"})


class EmbedRequest(ReservedMembers):
    model: str
    input: str | list[str] | None = None
    dimensions: int | None = None
    options: dict[str, Any] | None = None


class LegacyRequest(ReservedMembers):
    model: str
    prompt: str | None = None
    options: dict[str, Any] | None = None


class EmbedCall(EmbeddingsCall, kw_only=True):
    source: EmbedRequest
    began_ns: int = field(default_factory=now_ns)
    """When the request was decoded, in nanoseconds since the Unix epoch."""


class LegacyEmbedCall(EmbeddingsCall, kw_only=True):
    source: LegacyRequest


_embed: Final = msgspec.json.Decoder(EmbedRequest)
_object: Final = msgspec.json.Decoder(dict[str, Any])
_legacy: Final = msgspec.json.Decoder(LegacyRequest)


def _extras(body: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    raw = decode_body(_object, body)
    extras = {name: value for name, value in raw.items() if name not in known and value is not None}
    options: dict[str, Any] = raw.get("options") or {}
    return extras | {OPTION_PREFIX + name: value for name, value in options.items() if value is not None}


class EmbedClient:
    """Implements `protocols.EmbeddingsClient` for `/api/embed`."""

    dialect: str = DIALECT
    field_names: Final[dict[str, str]] = {}

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> EmbeddingsCall:
        request = decode_body(_embed, body)
        if request.dimensions is not None and not 0 <= request.dimensions < 2**31:
            raise errors.InvalidRequest(
                "Invalid 'dimensions': expected a positive integer.", code="invalid_value", param="dimensions"
            )
        check_model(request.model)
        return EmbedCall(
            operation="embeddings",
            model=request.model,
            body=body,
            dialect=DIALECT,
            context=context,
            needs=_NEEDS,
            source=request,
        )

    def decode(self, call: Call) -> EmbeddingRequest:
        request = narrow_call(call, EmbedCall).source
        text = request.input
        return EmbeddingRequest(
            dialect=DIALECT,
            model=request.model,
            inputs=[text] if isinstance(text, str) else list(text or ()),
            dimensions=request.dimensions or None,
            is_single=isinstance(text, str),
            extras=_extras(call.body, EmbedRequest.__struct_fields__),
        )

    def encode(self, response: EmbeddingResponse, call: Call, losses: LossReport) -> bytes:  # noqa: ARG002
        body: dict[str, Any] = {
            "model": response.model or call.model,
            "embeddings": encode_apart(response.vectors),
            "total_duration": max(1, now_ns() - narrow_call(call, EmbedCall).began_ns),
            "load_duration": 0,
        }
        if response.usage is not None:
            body["prompt_eval_count"] = response.usage.total_input_tokens
        if response.dialect == DIALECT:
            body.update(response.extras)
        return msgspec.json.encode(body)


class LegacyEmbeddingsClient:
    """Implements `protocols.EmbeddingsClient` for `/api/embeddings`."""

    dialect: str = DIALECT
    field_names: Final[dict[str, str]] = {}

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> EmbeddingsCall:
        request = decode_body(_legacy, body)
        check_model(request.model)
        return LegacyEmbedCall(
            operation="embeddings",
            model=request.model,
            body=body,
            dialect=DIALECT,
            context=context,
            needs=_NEEDS,
            source=request,
        )

    def decode(self, call: Call) -> EmbeddingRequest:
        request = narrow_call(call, LegacyEmbedCall).source
        extras = _extras(call.body, LegacyRequest.__struct_fields__)
        inputs: list[str | list[int]] = [request.prompt] if request.prompt else []
        return EmbeddingRequest(dialect=DIALECT, model=request.model, inputs=inputs, is_single=True, extras=extras)

    def encode(self, response: EmbeddingResponse, call: Call, losses: LossReport) -> bytes:  # noqa: ARG002
        return msgspec.json.encode({"embedding": response.vectors[0] if response.vectors else []})


EMBEDDINGS_CLIENT: Final = EmbedClient()
LEGACY_EMBEDDINGS_CLIENT: Final = LegacyEmbeddingsClient()
