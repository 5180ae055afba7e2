"""A passthrough whose answers name the model as the client has requested it (`answers.model_name: requested`)."""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from intellirouter.core import Call, Clock, Deployment, UpstreamRequest, errors
from intellirouter.dialects.adapt.wrapped_relay import WrappedRelay
from intellirouter.dialects.protocols import Answer, Route, StreamRelay
from intellirouter.dialects.wire.json_edit import json_string
from intellirouter.dialects.wire.model_member import ModelMember, replace_in_document, replace_in_stream

_JSON: Final = b"application/json"
_TEXT_STREAMS: Final = (b"text/event-stream", b"application/x-ndjson", b"application/json")
"""The content types of streams that can name a model. Others are audio."""


class RequestedNamePassthrough(Route):
    """Serves like another route, but changes the name of the model in the answers, and nothing else."""

    is_local = False

    def __init__(self, route: Route, member: ModelMember) -> None:
        self._route = route
        self._member = member

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:
        return self._route.media_urls(call, deployment)

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return self._route.encode_request(call, deployment)

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        answer = self._route.decode_response(body, call, deployment)
        if answer.content_type != _JSON:
            return answer
        sent = body if answer.body is None else answer.body
        renamed = replace_in_document(sent, self._member.whole, json_string(call.model))
        return answer if renamed is sent else structs.replace(answer, body=renamed)

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        relay = self._route.relay(call, deployment)
        if not call.stream_type.startswith(_TEXT_STREAMS):
            return relay
        return RequestedNameRelay(relay, self._member.event, json_string(call.model))

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:
        return self._route.relay_whole(call, deployment)

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._route.decode_error(status, headers, body, deployment=deployment, clock=clock)


class RequestedNameRelay(WrappedRelay):
    """Relays another relay's blocks of complete events with the name of the model changed."""

    def __init__(self, relay: StreamRelay, path: tuple[str, ...], value: bytes) -> None:
        super().__init__(relay)
        self._path = path
        self._value = value

    def feed(self, data: bytes) -> bytes:
        out = self._relay.feed(data)
        return replace_in_stream(out, self._path, self._value) if out else out

    def end(self) -> bytes:
        return replace_in_stream(self._relay.end(), self._path, self._value)

    def fail(self, error: errors.GatewayError) -> bytes:
        return replace_in_stream(self._relay.fail(error), self._path, self._value)
