"""The upstream side of the Responses dialect: `POST /responses`."""

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest
from intellirouter.dialects.ir import Conversation, Response, origin_of
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.upstream_request import PATH, encode_request
from intellirouter.dialects.openai_responses.upstream_response import decode_response
from intellirouter.dialects.openai_responses.upstream_stream import ResponsesStreamDecoder
from intellirouter.dialects.protocols import Splitter, StreamDecoder
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.sse import EventSplitter


class ResponsesUpstream:
    """Implements `protocols.ChatUpstream`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        return encode_request(conversation, deployment, losses)

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        body, model = call.body, deployment.upstream_model
        if model != call.model:
            body = replace(body, model_spans(body, call.model, is_unique=call.is_checked), json_string(model))
        return UpstreamRequest(path=PATH, body=body)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        return decode_response(body, origin_of(deployment))

    def stream(self, deployment: Deployment) -> StreamDecoder:
        return ResponsesStreamDecoder(origin_of(deployment))

    def splitter(self) -> Splitter:
        return EventSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)
