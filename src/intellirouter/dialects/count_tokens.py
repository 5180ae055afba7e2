"""Counting tokens without an answer: asked of the upstream where it can, estimated (and said so) where it cannot."""

from collections.abc import Sequence
from typing import Protocol

from intellirouter.core import NO_USAGE, Call, Clock, Deployment, Loss, LossReport, UpstreamRequest, errors
from intellirouter.dialects.ir import Conversation
from intellirouter.dialects.lane import Answer, ChatUpstream, CountUpstream, RequestDecoder, StreamRelay
from intellirouter.dialects.token_estimate import estimate_conversation


class CountClient(RequestDecoder, Protocol):
    """The client's side: `POST /v1/messages/count_tokens`, `:countTokens`."""

    @property
    def field_names(self) -> dict[str, str]: ...

    def decode(self, call: Call) -> Conversation: ...

    def encode_count(self, tokens: int, call: Call) -> bytes: ...


class CountingUpstream(ChatUpstream, CountUpstream, Protocol):
    """An upstream that can count."""


class CountTranslation:
    """Asks the upstream."""

    is_local = False

    def __init__(self, client: CountClient, upstream: CountingUpstream) -> None:
        self._client = client
        self._upstream = upstream

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        # What would be lost in an answer is not lost in a count.
        return self._upstream.encode_count(_form_of(self._client, call), deployment, LossReport())

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:  # noqa: ARG002
        return Answer(NO_USAGE, body=self._client.encode_count(self._upstream.decode_count(body), call))

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest("Counts are not streamed.", param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class CountEstimate:
    """Answers from the request alone."""

    is_local = True

    def __init__(self, client: CountClient) -> None:
        self._client = client

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        raise errors.UnsupportedFeature(f"{deployment.name} does not count the tokens of {call.model}.")

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:  # noqa: ARG002
        tokens = estimate_conversation(_form_of(self._client, call))
        losses = (Loss("input_tokens", "emulated", "estimated from the request's size"),)
        return Answer(NO_USAGE, body=self._client.encode_count(tokens, call), losses=losses)

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest("Counts are not streamed.", param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:  # pragma: no cover - nobody is asked
        del headers, body, clock
        raise errors.InternalError(f"{deployment} was not asked (HTTP {status}).")


def _form_of(client: CountClient, call: Call) -> Conversation:
    if call.form is None:
        call.form = client.decode(call)
    conversation: Conversation = call.form
    return conversation
