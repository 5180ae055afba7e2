"""The upstream side: Google's Generative Language API, and Vertex AI at `…/publishers/google`."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.stop_sequences import GEMINI_STOPS, has_more_stops, usable_stops
from intellirouter.dialects.gemini import upstream_errors
from intellirouter.dialects.gemini.client import GeminiCall
from intellirouter.dialects.gemini.client_request import FIELD_NAMES, decode_conversation
from intellirouter.dialects.gemini.framing import ChunkSplitter
from intellirouter.dialects.gemini.resources import is_vertex, resource_name
from intellirouter.dialects.gemini.upstream_request import method_path, request_body
from intellirouter.dialects.gemini.upstream_response import ResponseReader
from intellirouter.dialects.gemini.upstream_stream import ContentDecoder
from intellirouter.dialects.gemini.wire import DIALECT, WRAPPED_MARK, first_of, read_json
from intellirouter.dialects.ir import Conversation, Response, collect
from intellirouter.dialects.wire.json_encode import encode_document

_encode: Final = msgspec.json.Encoder().encode
_STREAM_METHOD: Final = "streamGenerateContent"
_SSE_QUERY: Final = "?alt=sse"
_METHOD: Final = "generateContent"


def _with_fewer_stops(body: bytes, losses: LossReport) -> bytes:
    document = msgspec.json.decode(body)
    for config in (document.get("generationConfig"), document.get("generation_config")):
        for name in ("stopSequences", "stop_sequences"):
            if isinstance(config, dict) and has_more_stops(config.get(name), GEMINI_STOPS):
                config[name] = usable_stops(config[name], losses, max_count=GEMINI_STOPS)
    return encode_document(document)


class GeminiUpstream:
    """Implements `protocols.ChatUpstream` and `protocols.CountUpstream`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        method = _STREAM_METHOD if conversation.is_stream else _METHOD
        path = method_path(deployment, method) + (_SSE_QUERY if conversation.is_stream else "")
        return UpstreamRequest(path=path, body=encode_document(request_body(conversation, deployment, losses)))

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the client's request. The upstream streams in the format that the client requested."""
        path = method_path(deployment, _STREAM_METHOD if call.is_stream else _METHOD)
        if call.is_stream and call.stream_type.startswith(b"text/event-stream"):
            path += _SSE_QUERY
        body = call.body
        if WRAPPED_MARK in body:  # remove the tokens of other vendors, which Google does not understand
            body = encode_document(request_body(decode_conversation(call), deployment, LossReport()))
        elif isinstance(call, GeminiCall) and call.has_many_stops:
            losses = LossReport(FIELD_NAMES)
            return UpstreamRequest(path=path, body=_with_fewer_stops(body, losses), losses=losses.taken())
        return UpstreamRequest(path=path, body=body)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        reader = ResponseReader(deployment)
        document = read_json(body)
        events = [
            event
            for chunk in (document if isinstance(document, list) and document else [document])
            for event in reader.read(chunk, body)
        ]
        if reader.is_empty:
            raise errors.UpstreamMalformed("The upstream returned no candidates.")
        return collect(events + reader.finish(), DIALECT)

    def stream(self, deployment: Deployment) -> ContentDecoder:
        return ContentDecoder(deployment)

    def splitter(self) -> ChunkSplitter:
        return ChunkSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)

    def encode_count(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = request_body(conversation, deployment, losses)
        if not is_vertex(deployment):
            # With `contents` alone, the system instruction and the tools would not be counted.
            body = {"generateContentRequest": {"model": resource_name(deployment.upstream_model), **body}}
        return UpstreamRequest(path=method_path(deployment, "countTokens"), body=encode_document(body))

    def decode_count(self, body: bytes) -> int:
        document: dict[str, Any] = first_of(read_json(body)) or {}
        if document.get("error"):
            raise upstream_errors.decode_error_object(document["error"], "The upstream", body)
        tokens = document.get("totalTokens")
        if type(tokens) is not int or tokens < 0:
            raise errors.UpstreamMalformed("The upstream returned a token count without valid `totalTokens`.")
        return tokens
