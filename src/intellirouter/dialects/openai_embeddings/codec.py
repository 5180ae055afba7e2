"""Both sides of OpenAI's embeddings against the form of their own. Source: API reference, "Create embeddings"."""

from typing import Any, Final

import msgspec

from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, LossReport, RequestContext, UpstreamRequest, errors
from intellirouter.dialects.calls import EmbeddingsCall
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.openai import errors as openai_errors
from intellirouter.dialects.openai_embeddings.answer import DIALECT, encode_answer, read_answer
from intellirouter.dialects.openai_embeddings.passthrough import (
    EmbeddingsPassthrough,
    EmbeddingsRequest,
    source_of,
    wants_base64,
)
from intellirouter.dialects.wire.request_validation import decode_body

_PATH: Final = "/embeddings"
_PASSTHROUGH: Final = EmbeddingsPassthrough()
_KNOWN: Final = frozenset(EmbeddingsRequest.__struct_fields__)


_decode_object: Final = msgspec.json.Decoder(dict[str, Any])


class EmbeddingsClient:
    """Clients of `POST /embeddings`. Implements `protocols.EmbeddingsClient`."""

    dialect = DIALECT
    field_names: dict[str, str] = {"encoding": "encoding_format"}  # noqa: RUF012 - the protocol's form

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

    def encode(self, answer: EmbeddingResponse, call: Call, losses: LossReport) -> bytes:  # noqa: ARG002 - all is said
        return encode_answer(answer, call.model, is_base64=wants_base64(call))


def _inputs(value: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """Sort out the four forms: a text, texts, one list of tokens, lists of tokens. They do not mix."""
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
        "Invalid 'input': expected a text, texts, tokens or lists of tokens, but these are mixed.",
        code="invalid_value",
        param="input",
    )


class EmbeddingsUpstream:
    """OpenAI, and whoever speaks its dialect. Implements `protocols.EmbeddingsUpstream`."""

    dialect = DIALECT

    def encode(self, ask: EmbeddingRequest, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        refuses = deployment.quirks.refuses
        single = ask.is_single and isinstance(ask.inputs[0], str)
        body: dict[str, Any] = {"model": deployment.upstream_model, "input": ask.inputs[0] if single else ask.inputs}
        if ask.dimensions is not None:
            if "dimensions" in refuses:
                raise errors.UnsupportedFeature(
                    f"{deployment.name} ({deployment.vendor}) cannot shorten its vectors.",
                    param=losses.name_of("dimensions"),
                )
            body["dimensions"] = ask.dimensions
        if ask.user and "user" not in refuses:
            body["user"] = ask.user
        elif ask.user:
            losses.dropped("user")
        for name in ("task", "title"):
            if getattr(ask, name):
                losses.dropped(name)
        # Numbers are the default everywhere: who wants base64 gets it made here.
        if ask.dialect == DIALECT:
            body |= {name: value for name, value in ask.extras.items() if name not in refuses}
        return UpstreamRequest(path=_PATH, body=msgspec.json.encode(body))

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingResponse:  # noqa: ARG002 - one form for all
        return read_answer(body)

    decode_error = staticmethod(openai_errors.decode_error)
