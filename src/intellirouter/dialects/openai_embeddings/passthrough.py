"""OpenAI embeddings for an upstream of the same dialect: passed through, in the encoding that the client asked for.

Source: OpenAI API reference, "Create embeddings".
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, LossReport, RequestContext, UpstreamRequest, errors
from intellirouter.dialects.calls import EmbeddingsCall, narrow_call
from intellirouter.dialects.openai import errors as openai_errors
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.openai_embeddings.answer import DIALECT, encode_answer, read_answer
from intellirouter.dialects.protocols import Answer, Route, StreamRelay
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.request_validation import check_model, decode_body

_OPTIONS: Final = ("encoding_format", "dimensions", "user")
_EMBEDDING: Final = re.compile(rb'"embedding"\s*:\s*(["\[])')
_NEEDS: Final = frozenset({"embeddings"})


class EmbeddingsRequest(Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


class OpenAIEmbeddingsCall(EmbeddingsCall, kw_only=True):
    source: EmbeddingsRequest


class _Response(Struct):
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


_decode_request: Final = msgspec.json.Decoder(EmbeddingsRequest)
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])
_decode_response: Final = msgspec.json.Decoder(_Response)


class EmbeddingsPassthrough(Route):
    """`POST /embeddings`, OpenAI dialect on both sides."""

    dialect = DIALECT
    is_local = False
    path = "/embeddings"

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> EmbeddingsCall:  # noqa: ARG002 - all is in the body
        request = decode_body(_decode_request, body)
        check_model(request.model)
        if not request.input:
            raise errors.InvalidRequest("'input' must not be empty.", code="invalid_value", param="input")
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
                raise errors.UnsupportedFeature(f"{deployment.name} cannot shorten its vectors.", param=name)
            if value is not None and name != "encoding_format":  # the encoding is made here
                losses.dropped(name)
        body["model"] = deployment.upstream_model
        return UpstreamRequest(path=self.path, body=msgspec.json.encode(body), losses=losses.taken())

    def edited(self, call: Call, upstream_model: str) -> bytes:
        """Return the client's body with the upstream's model; every other byte as it came."""
        if upstream_model == call.model:
            return call.body
        return replace(call.body, model_spans(call.body, call.model), json_string(upstream_model))

    def decode_response(
        self,
        body: bytes,
        call: Call | None = None,
        deployment: Deployment | None = None,  # noqa: ARG002
    ) -> Answer:
        try:
            if not body.isascii():
                body.decode()  # the decoder skips what it is not asked for, text that is no UTF-8 included
            response = _decode_response.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(f"The upstream's answer is no list of embeddings: {error}") from None
        if response.error:
            raise openai_errors.decode_error_in_200(body)
        if response.data is None:
            raise errors.UpstreamMalformed("The upstream's answer has no `data`.")
        if call is not None and response.data and self._is_otherwise(response.data[0], call):
            answer = read_answer(body)
            converted = encode_answer(answer, answer.model or call.model, is_base64=wants_base64(call))
            return Answer(answer.usage, None, converted)
        return Answer(decode_usage(response.usage))

    def _is_otherwise(self, first: msgspec.Raw, call: Call) -> bool:
        """Tell whether a vendor did not heed the encoding: OpenAI's SDKs take numbers for base64 and decode garbage."""
        found = _EMBEDDING.search(first)
        return found is not None and (found.group(1) == b'"') is not wants_base64(call)

    def relay(self, call: Call, deployment: Deployment | None = None) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest(f"{call.model}: embeddings are not streamed.", param="stream")

    decode_error = staticmethod(openai_errors.decode_error)


def source_of(call: Call) -> EmbeddingsRequest:
    """Return the request as `decode_request` read it."""
    return narrow_call(call, OpenAIEmbeddingsCall).source


def wants_base64(call: Call) -> bool:
    return source_of(call).encoding_format == "base64"
