"""The upstream's side: Google's Generative Language API, and Vertex AI below `…/publishers/google`."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.gemini import upstream_errors as errors_in
from intellirouter.dialects.gemini.client_request import conversation_of
from intellirouter.dialects.gemini.framing import ChunkSplitter
from intellirouter.dialects.gemini.resources import is_vertex, resource_of
from intellirouter.dialects.gemini.upstream_request import path_of, request_of
from intellirouter.dialects.gemini.upstream_response import AnswerReader
from intellirouter.dialects.gemini.upstream_stream import ContentDecoder
from intellirouter.dialects.gemini.wire import DIALECT, WRAPPED_MARK, first_of, read_json
from intellirouter.dialects.ir import Conversation, Response, collect

_encode: Final = msgspec.json.Encoder().encode
_STREAM: Final = "streamGenerateContent"
_SSE: Final = "?alt=sse"
_WHOLE: Final = "generateContent"


class GeminiUpstream:
    """Implements `protocols.ChatUpstream` and `protocols.CountUpstream`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        method = _STREAM if conversation.is_stream else _WHOLE
        path = path_of(deployment, method) + (_SSE if conversation.is_stream else "")
        return UpstreamRequest(path=path, body=_encode(request_of(conversation, deployment, losses)))

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Send the client's bytes. The stream is asked for in the form that the client wants."""
        path = path_of(deployment, _STREAM if call.is_stream else _WHOLE)
        if call.is_stream and call.stream_type.startswith(b"text/event-stream"):
            path += _SSE
        body = call.body
        if WRAPPED_MARK in body:  # tokens of other vendors mean nothing here: they are taken out
            body = _encode(request_of(conversation_of(call), deployment, LossReport()))
        return UpstreamRequest(path=path, body=body)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        reader = AnswerReader(deployment)
        document = read_json(body)
        events = [
            event
            for chunk in (document if isinstance(document, list) and document else [document])
            for event in reader.take(chunk, body)
        ]
        if reader.is_empty:
            raise errors.UpstreamMalformed("The upstream's answer has no candidates.")
        return collect(events + reader.finish(), DIALECT)

    def stream(self, deployment: Deployment) -> ContentDecoder:
        return ContentDecoder(deployment)

    def splitter(self) -> ChunkSplitter:
        return ChunkSplitter()

    decode_error = staticmethod(errors_in.decode_error)

    def encode_count(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = request_of(conversation, deployment, losses)
        if not is_vertex(deployment):
            # Alone, `contents` would be counted without the system's instructions and the tools.
            body = {"generateContentRequest": {"model": resource_of(deployment.upstream_model), **body}}
        return UpstreamRequest(path=path_of(deployment, "countTokens"), body=_encode(body))

    def decode_count(self, body: bytes) -> int:
        document: dict[str, Any] = first_of(read_json(body)) or {}
        if document.get("error"):
            raise errors_in.error_in_200(document["error"], "The upstream", body)
        tokens = document.get("totalTokens")
        if type(tokens) is not int or tokens < 0:
            raise errors.UpstreamMalformed("The upstream's count has no `totalTokens`.")
        return tokens
