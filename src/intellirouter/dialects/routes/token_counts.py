"""Token counts: from the upstream if it can count, or else estimated. An estimate is reported as a loss."""

from collections.abc import Sequence
from typing import Final

from intellirouter.core import NO_USAGE, Call, Clock, Deployment, Loss, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.adapt.tool_fit import tool_fit
from intellirouter.dialects.calls import conversation_of
from intellirouter.dialects.ir import Conversation
from intellirouter.dialects.protocols import Answer, CountClient, CountUpstream, Route, StreamRelay
from intellirouter.dialects.routes.local import LocalRoute
from intellirouter.dialects.routes.translation import with_fitted_parts
from intellirouter.dialects.spec import Traits
from intellirouter.dialects.wire.token_estimate import estimate_conversation

_NOT_STREAMED: Final = "Token counts cannot be streamed."


class CountTranslation(Route):
    """The upstream counts the tokens."""

    is_local = False

    def __init__(self, client: CountClient, upstream: CountUpstream, traits: Traits) -> None:
        self._client = client
        self._upstream = upstream
        self._traits = traits

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:  # noqa: ARG002 - the dialect decides
        """Return the URLs that the request itself would have fetched, too."""
        conversation, fetched = conversation_of(call, self._client.decode), call.fetched or ()
        if not self._is_between_dialects(conversation):
            return ()
        return [url for url in urls_to_fetch(conversation, self._traits.url_kinds) if url not in fetched]

    def _is_between_dialects(self, conversation: Conversation) -> bool:
        return conversation.dialect != self._upstream.dialect

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        conversation, losses = conversation_of(call, self._client.decode), LossReport(self._client.field_names)
        if call.fetched is not None:
            conversation = with_fetched(conversation, call.fetched, losses)
        if self._is_between_dialects(conversation):
            conversation = with_fitted_parts(conversation, deployment, self._traits, losses)
        if (fit := tool_fit(conversation, self._traits.tool_names, self._traits.tool_properties)) is not None:
            conversation = fit.for_upstream(conversation, losses)
        return self._upstream.encode_count(conversation, deployment, losses)  # Losses concern the answer.

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:  # noqa: ARG002
        return Answer(NO_USAGE, body=self._client.encode_count(self._upstream.decode_count(body), call))

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002
        raise errors.InvalidRequest(_NOT_STREAMED, param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class CountEstimate(LocalRoute):
    """The gateway estimates the count from the request alone."""

    unsupported = "does not count the tokens of"
    not_streamed = _NOT_STREAMED

    def __init__(self, client: CountClient) -> None:
        self._client = client

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:  # noqa: ARG002
        tokens = estimate_conversation(conversation_of(call, self._client.decode))
        losses = (Loss("input_tokens", "emulated", "estimated from the size of the request"),)
        return Answer(NO_USAGE, body=self._client.encode_count(tokens, call), losses=losses)
