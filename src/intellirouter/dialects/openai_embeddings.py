"""OpenAI embeddings: passed through. Source: OpenAI API reference, "Create embeddings"."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import NO_FACTS, Call, Clock, Deployment, PathFacts, UpstreamRequest, errors
from intellirouter.dialects.lane import Answer, StreamRelay
from intellirouter.dialects.openai_errors import decode_error, decode_error_in_200
from intellirouter.dialects.openai_usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.splice import json_string, model_spans, replace
from intellirouter.dialects.validation import check_model, decode_body

_NEEDS: Final = frozenset({"embeddings"})


class EmbeddingsRequest(Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


class _Response(Struct):
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


_decode_request: Final = msgspec.json.Decoder(EmbeddingsRequest)
_decode_response: Final = msgspec.json.Decoder(_Response)


class OpenAIEmbeddingsLane:
    """`POST /embeddings`, OpenAI dialect on both sides."""

    dialect = "openai_chat"
    is_local = False
    path = "/embeddings"

    def decode_request(self, body: bytes, facts: PathFacts = NO_FACTS) -> Call:  # noqa: ARG002 - all is in the body
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
        return Call(surface="embeddings", model=request.model, body=body, needs=_NEEDS, source=request)

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return UpstreamRequest(path=self.path, body=self.edited(call, deployment.upstream_model))

    def edited(self, call: Call, upstream_model: str) -> bytes:
        """Return the client's body with the upstream's model; every other byte as it came."""
        if upstream_model == call.model:
            return call.body
        return replace(call.body, model_spans(call.body, call.model), json_string(upstream_model))

    def decode_response(
        self,
        body: bytes,
        call: Call | None = None,  # noqa: ARG002 - the bytes pass
        deployment: Deployment | None = None,  # noqa: ARG002
    ) -> Answer:
        try:
            if not body.isascii():
                body.decode()  # the decoder skips what it is not asked for, text that is no UTF-8 included
            response = _decode_response.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(f"The upstream's answer is no list of embeddings: {error}") from None
        if response.error:
            raise decode_error_in_200(body)
        if response.data is None:
            raise errors.UpstreamMalformed("The upstream's answer has no `data`.")
        return Answer(decode_usage(response.usage))

    def relay(self, call: Call, deployment: Deployment | None = None) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest(f"{call.model}: embeddings are not streamed.", param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return decode_error(status, headers, body, deployment=deployment, clock=clock)
