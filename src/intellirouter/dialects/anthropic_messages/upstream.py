"""The upstream's side: Anthropic's own API, and everything that speaks its dialect."""

from typing import Final

import msgspec

from intellirouter.core import Call, Deployment, Loss, LossReport, UpstreamRequest
from intellirouter.dialects.anthropic_messages import client_errors as error_style
from intellirouter.dialects.anthropic_messages.client_request import BETA
from intellirouter.dialects.anthropic_messages.upstream_request import RequestBuilder, counted
from intellirouter.dialects.anthropic_messages.upstream_response import count_of, response_of
from intellirouter.dialects.anthropic_messages.upstream_stream import MessageStreamDecoder
from intellirouter.dialects.anthropic_messages.wire import COUNT_PATH, DIALECT, MESSAGES_PATH, VERSION
from intellirouter.dialects.ir import Conversation, Response, origin_of
from intellirouter.dialects.protocols import Splitter
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.sse import EventSplitter

_VERSION_HEADER: Final = "anthropic-version"
_BETA_QUERY: Final = "beta=true"


class MessagesUpstream:
    """Implements `protocols.ChatUpstream` and `protocols.CountUpstream`. Anthropic's base URL has no `/v1`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestBuilder(conversation, deployment, losses).build()
        return _request(MESSAGES_PATH, msgspec.json.encode(body), _betas(conversation, deployment, losses))

    def encode_count(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestBuilder(conversation, deployment, losses).build()
        return _request(COUNT_PATH, msgspec.json.encode(counted(body)), _betas(conversation, deployment, losses))

    def decode_count(self, body: bytes) -> int:
        return count_of(body)

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """The client's version goes along: its body and the answer it expects are of that version."""
        body = call.body
        if deployment.upstream_model != call.model:
            body = replace(body, model_spans(body, call.model), json_string(deployment.upstream_model))
        path = COUNT_PATH if call.operation == "count_tokens" else MESSAGES_PATH
        if _BETA_QUERY in call.context.query.split("&"):
            path += "?" + _BETA_QUERY
        said = [(name, value) for name, value in call.context.headers if name in {BETA, _VERSION_HEADER}]
        losses: tuple[Loss, ...] = ()
        if BETA in deployment.quirks.refuses and any(name == BETA for name, _ in said):
            said = [(name, value) for name, value in said if name != BETA]
            losses = (Loss(BETA, "dropped", "refused by this upstream"),)
        if not any(name == _VERSION_HEADER for name, _ in said):
            said.insert(0, (_VERSION_HEADER, VERSION))
        return UpstreamRequest(path=path, body=body, headers=tuple(said), losses=losses)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        return response_of(body, origin_of(deployment))

    def stream(self, deployment: Deployment) -> MessageStreamDecoder:
        return MessageStreamDecoder(origin_of(deployment))

    def splitter(self) -> Splitter:
        return EventSplitter()

    decode_error = staticmethod(error_style.decode_error)


def _betas(conversation: Conversation, deployment: Deployment, losses: LossReport) -> str:
    """Beta features are asked for only by a client of this dialect, and not where they are refused."""
    betas = conversation.extras.get(BETA, "") if conversation.dialect == DIALECT else ""
    if betas and BETA in deployment.quirks.refuses:
        losses.add(BETA, "dropped", "refused by this upstream")
        return ""
    return str(betas)


def _request(path: str, body: bytes, betas: str) -> UpstreamRequest:
    headers: tuple[tuple[str, str], ...] = ((_VERSION_HEADER, VERSION),)
    if betas:
        path, headers = f"{path}?{_BETA_QUERY}", (*headers, (BETA, betas))
    return UpstreamRequest(path=path, body=body, headers=headers)
