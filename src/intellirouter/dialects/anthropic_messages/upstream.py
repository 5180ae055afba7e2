"""The upstream side: Anthropic's API and compatible servers."""

from typing import Final

from intellirouter.core import Call, Deployment, Loss, LossReport, UpstreamRequest
from intellirouter.dialects.anthropic_messages import upstream_errors
from intellirouter.dialects.anthropic_messages.client_request import BETA_HEADER
from intellirouter.dialects.anthropic_messages.upstream_request import RequestBuilder, count_body
from intellirouter.dialects.anthropic_messages.upstream_response import decode_response, read_count
from intellirouter.dialects.anthropic_messages.upstream_stream import MessageStreamDecoder
from intellirouter.dialects.anthropic_messages.wire import COUNT_PATH, DIALECT, MESSAGES_PATH, VERSION
from intellirouter.dialects.ir import Conversation, Response, origin_of
from intellirouter.dialects.protocols import Splitter
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.sse import EventSplitter

_VERSION_HEADER: Final = "anthropic-version"
_BETA_QUERY: Final = "beta=true"


class MessagesUpstream:
    """Implements `protocols.ChatUpstream` and `protocols.CountUpstream`. Base URLs do not contain `/v1`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestBuilder(conversation, deployment, losses).build()
        return _build_request(MESSAGES_PATH, encode_document(body), _beta_header(conversation, deployment, losses))

    def encode_count(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestBuilder(conversation, deployment, losses).build()
        return _build_request(
            COUNT_PATH, encode_document(count_body(body)), _beta_header(conversation, deployment, losses)
        )

    def decode_count(self, body: bytes) -> int:
        return read_count(body)

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the client's request with the upstream model. The client's API version is also sent."""
        body = call.body
        if deployment.upstream_model != call.model:
            body = replace(
                body, model_spans(body, call.model, is_unique=call.is_checked), json_string(deployment.upstream_model)
            )
        path = COUNT_PATH if call.operation == "count_tokens" else MESSAGES_PATH
        if _BETA_QUERY in call.context.query.split("&"):
            path += "?" + _BETA_QUERY
        headers = [(name, value) for name, value in call.context.headers if name in {BETA_HEADER, _VERSION_HEADER}]
        losses: tuple[Loss, ...] = ()
        if BETA_HEADER in deployment.quirks.refuses and any(name == BETA_HEADER for name, _ in headers):
            headers = [(name, value) for name, value in headers if name != BETA_HEADER]
            losses = (Loss(BETA_HEADER, "dropped", "not supported by this upstream"),)
        if not any(name == _VERSION_HEADER for name, _ in headers):
            headers.insert(0, (_VERSION_HEADER, VERSION))
        return UpstreamRequest(path=path, body=body, headers=tuple(headers), losses=losses)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        return decode_response(body, origin_of(deployment))

    def stream(self, deployment: Deployment) -> MessageStreamDecoder:
        return MessageStreamDecoder(origin_of(deployment))

    def splitter(self) -> Splitter:
        return EventSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)


def _beta_header(conversation: Conversation, deployment: Deployment, losses: LossReport) -> str:
    """Return the beta features that a client of this dialect requests, unless the upstream rejects them."""
    betas = conversation.extras.get(BETA_HEADER, "") if conversation.dialect == DIALECT else ""
    if betas and BETA_HEADER in deployment.quirks.refuses:
        losses.add(BETA_HEADER, "dropped", "not supported by this upstream")
        return ""
    return str(betas)


def _build_request(path: str, body: bytes, betas: str) -> UpstreamRequest:
    headers: tuple[tuple[str, str], ...] = ((_VERSION_HEADER, VERSION),)
    if betas:
        path, headers = f"{path}?{_BETA_QUERY}", (*headers, (BETA_HEADER, betas))
    return UpstreamRequest(path=path, body=body, headers=headers)
