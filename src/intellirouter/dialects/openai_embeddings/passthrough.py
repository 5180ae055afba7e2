"""OpenAI embeddings for an upstream of the same dialect: relayed unchanged, but in the encoding that the client wants.

Source: OpenAI API reference, "Create embeddings".
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, LossReport, RequestContext, UpstreamRequest, errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.calls import EmbeddingsCall, answer_model, narrow_call
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.openai_embeddings.client_response import encode_response
from intellirouter.dialects.openai_embeddings.upstream_response import decode_response
from intellirouter.dialects.openai_embeddings.wire import DIALECT
from intellirouter.dialects.protocols import Answer, Route, StreamRelay
from intellirouter.dialects.wire.answer_estimate import estimated_usage
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.large_json import LARGE_BYTES, check_size
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_OPTIONS: Final = ("encoding_format", "dimensions", "user")
_EMBEDDING: Final = re.compile(rb'"embedding"\s*:\s*(["\[])')
_NEEDS: Final = frozenset({"embeddings"})


class EmbeddingsBody(ReservedMembers):
    """The members whose types the gateway validates."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


class OpenAIEmbeddingsCall(EmbeddingsCall, kw_only=True):
    source: EmbeddingsBody


class _Response(Struct):
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


_decode_request: Final = msgspec.json.Decoder(EmbeddingsBody)
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])
_decode_response: Final = msgspec.json.Decoder(_Response)


class EmbeddingsPassthrough(Route):
    """`POST /embeddings` with the OpenAI dialect on both sides."""

    dialect = DIALECT
    is_local = False
    path = "/embeddings"

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> EmbeddingsCall:  # noqa: ARG002 - everything is in the body
        request = decode_body(_decode_request, body)
        check_model(request.model)
        if not request.input:
            raise errors.InvalidRequest("Invalid 'input': it must not be empty.", code="invalid_value", param="input")
        if request.encoding_format not in {None, "float", "base64"}:
            raise errors.InvalidRequest(
                "Invalid 'encoding_format': expected 'float' or 'base64'.",
                code="invalid_value",
                param="encoding_format",
            )
        return OpenAIEmbeddingsCall(
            operation="embeddings", model=request.model, body=body, needs=_NEEDS, source=request
        )

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        refused = [name for name in _OPTIONS if name in deployment.quirks.refuses and f'"{name}"'.encode() in call.body]
        if not refused:
            return UpstreamRequest(path=self.path, body=self.edited(call, deployment.upstream_model))
        body: dict[str, Any] = decode_body(_decode_object, call.body)
        losses = LossReport()
        for name in refused:
            value = body.pop(name, None)
            if value is not None and name == "dimensions":
                raise errors.UnsupportedFeature(f"{deployment.name} does not support `dimensions`.", param=name)
            if value is not None and name != "encoding_format":  # The gateway converts the vectors.
                losses.dropped(name)
        body["model"] = deployment.upstream_model
        return UpstreamRequest(path=self.path, body=encode_document(body), losses=losses.taken())

    def edited(self, call: Call, upstream_model: str) -> bytes:
        """Return the client's body with the upstream's model and no other change."""
        if upstream_model == call.model:
            return call.body
        return replace(
            call.body, model_spans(call.body, call.model, is_unique=call.is_checked), json_string(upstream_model)
        )

    def decode_response(
        self,
        body: bytes,
        call: Call | None = None,
        deployment: Deployment | None = None,
    ) -> Answer:
        try:
            if not body.isascii():
                body.decode()  # The decoder does not check the members that it skips.
            if len(body) > LARGE_BYTES:
                check_size(body, counts_values=False)
            response = _decode_response.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(
                f"The upstream returned an invalid list of embeddings: {describe_json_error(error)}."
            ) from None
        if response.error:
            raise upstream_errors.decode_error_in_200(body)
        if response.data is None:
            if (reported := upstream_errors.error_without_answer(body)) is not None:
                raise reported
            raise errors.UpstreamMalformed("The upstream returned a list of embeddings without `data`.")
        if call is not None and len(response.data) != (count := _count_inputs(source_of(call).input)):
            raise errors.UpstreamMalformed(
                f"The upstream's response has {len(response.data)} vectors for {count} inputs."
            )
        if call is not None and response.data and self._has_wrong_encoding(response.data[0], call):
            decoded = decode_response(body)
            if (usage := decoded.usage) is None:
                decoded.usage = estimated_usage(call, LossReport(), None)
            model = decoded.model or call.model if deployment is None else answer_model(decoded.model, call, deployment)
            converted = encode_response(decoded, model, is_base64=wants_base64(call))
            return Answer(usage, None, converted)
        return Answer(decode_usage(response.usage))

    def _has_wrong_encoding(self, first: msgspec.Raw, call: Call) -> bool:
        """Return whether the vendor has ignored `encoding_format`. OpenAI's SDKs would decode numbers as base64."""
        found = _EMBEDDING.search(first)
        return found is not None and (found.group(1) == b'"') is not wants_base64(call)

    def relay(self, call: Call, deployment: Deployment | None = None) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest("Embeddings cannot be streamed.", param="stream")

    decode_error = staticmethod(upstream_errors.decode_error)


def _count_inputs(value: str | list[str | int | list[int]]) -> int:
    """Return the number of inputs: texts, or lists of tokens. A list of numbers is one input."""
    return 1 if isinstance(value, str) or isinstance(value[0], int) else len(value)


def source_of(call: Call) -> EmbeddingsBody:
    """Return the request as `decode_request` has read it."""
    return narrow_call(call, OpenAIEmbeddingsCall).source


def wants_base64(call: Call) -> bool:
    return source_of(call).encoding_format == "base64"
