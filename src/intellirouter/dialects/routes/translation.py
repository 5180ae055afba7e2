"""The route between a client and an upstream of different dialects, through the intermediate form."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from intellirouter.core import AnswerLimits, Call, Clock, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.answer_checks import StreamGuard, validate_answer
from intellirouter.dialects.adapt.answer_limits import check_limits
from intellirouter.dialects.adapt.choices import MAX_COPIES, ChoicesDecoder, join_responses, read_frames
from intellirouter.dialects.adapt.forced_tool import CallDecoder, forced_tool, with_output_schema, with_tool_call
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.adapt.no_arguments import NoArguments
from intellirouter.dialects.adapt.orphan_results import with_calls_for_results
from intellirouter.dialects.adapt.tool_fit import ToolFit, tool_fit
from intellirouter.dialects.adapt.typed_media import with_media_types
from intellirouter.dialects.calls import conversation_of
from intellirouter.dialects.ir import (
    Conversation,
    Event,
    FunctionTool,
    Media,
    StreamEnded,
    ToolCall,
    ToolCallStarted,
    ToolResult,
)
from intellirouter.dialects.protocols import (
    Answer,
    ChatClient,
    ChatUpstream,
    Route,
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
)
from intellirouter.dialects.routes.other_mode import WholeAnswerDecoder, decode_whole
from intellirouter.dialects.routes.watched_stream import MAX_HELD_BYTES, WatchedStream
from intellirouter.dialects.spec import Traits
from intellirouter.dialects.wire.sse import LARGE_EVENT_BYTES, LineSplitter

_MAX_QUICK_CHARS: Final = 128 * 1024
"""How much an encoder can hold back that does not take long to encode."""


_FITTED_TYPES: Final = frozenset({Media, ToolResult})
_TOOL_TYPES: Final = frozenset({ToolCall, ToolResult})


class ChatTranslation(Route):
    """Translates between a chat-like client of one dialect and an upstream of another."""

    is_local = False

    def __init__(self, client: ChatClient, upstream: ChatUpstream, traits: Traits) -> None:
        self._client = client
        self._upstream = upstream
        self._traits = traits

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:  # noqa: ARG002 - the dialect decides
        urls = urls_to_fetch(conversation_of(call, self._client.decode), self._traits.url_kinds)
        fetched = call.fetched
        return [url for url in urls if url not in fetched] if fetched else urls

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        conversation = conversation_of(call, self._client.decode)
        losses = LossReport(self._client.field_names)
        if call.fetched is not None:
            conversation = with_fetched(conversation, call.fetched, losses)
        copies = self._copies(conversation, deployment)
        if copies > 1:
            if copies > MAX_COPIES:
                raise errors.UnsupportedFeature(
                    f"{deployment.name} can return at most {MAX_COPIES} choices for one request.",
                    param=losses.name_of("n"),
                )
            losses.add("n", "emulated", f"{copies} requests")
            conversation = structs.replace(conversation, sampling=structs.replace(conversation.sampling, n=1))
        types = conversation.part_types()
        if conversation.dialect != self._upstream.dialect and not types.isdisjoint(_FITTED_TYPES):
            conversation = with_calls_for_results(conversation, losses)
            conversation = with_media_types(conversation, deployment, self._traits.image_types, losses)
        if (fit := self._fit(conversation, types)) is not None:
            conversation = fit.for_upstream(conversation, losses)
        if (tool := self._forced_tool(conversation)) is not None:
            conversation = with_output_schema(conversation, tool, losses)
        request = self._upstream.encode(conversation, deployment, losses)
        if conversation.dialect != self._upstream.dialect:
            for field in client_only_fields(conversation):
                losses.dropped(field)
        return structs.replace(request, losses=losses.taken(), copies=copies)

    def _forced_tool(self, conversation: Conversation) -> FunctionTool | None:
        return None if self._traits.can_force_tools else forced_tool(conversation)

    def _fit(self, conversation: Conversation, types: set[type]) -> ToolFit | None:
        if not (conversation.tools or conversation.tool_choice) and types.isdisjoint(_TOOL_TYPES):
            return None
        return tool_fit(conversation, self._traits.tool_names, self._traits.tool_properties)

    def _copies(self, conversation: Conversation, deployment: Deployment) -> int:
        if self._traits.has_choices and "n" not in deployment.quirks.refuses:
            return 1
        return conversation.sampling.n

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        conversation = conversation_of(call, self._client.decode)
        if self._copies(conversation, deployment) > 1:
            response = join_responses([self._upstream.decode(each, deployment) for _, each in read_frames(body)])
        else:
            response, _ = decode_whole(self._upstream, body, deployment)
        check_limits(response, deployment.limits)
        if (tool := self._forced_tool(conversation)) is not None:
            response = with_tool_call(response, tool)
        if (fit := self._fit(conversation, conversation.part_types())) is not None:
            response = fit.for_client(response)
        response = validate_answer(response, conversation)
        losses = LossReport()
        encoded = self._client.encode(response, call, losses)
        stop = next((choice.stop for choice in response.choices if choice.stop is not None), None)
        return Answer(response.usage, None if stop is None else stop.reason, encoded, losses.taken())

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        conversation = conversation_of(call, self._client.decode)
        copies = self._copies(conversation, deployment)
        decoders = [self._upstream.stream(deployment) for _ in range(copies)]
        if (tool := self._forced_tool(conversation)) is not None:
            decoders = [CallDecoder(decoder, tool) for decoder in decoders]
        decoder: StreamDecoder = decoders[0] if copies == 1 else ChoicesDecoder(decoders)
        if (fit := self._fit(conversation, conversation.part_types())) is not None:
            decoder = fit.stream(decoder, deployment.limits)
        return TranslatedStream(decoder, self._client.stream(call, LossReport()), deployment.limits)

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:
        conversation = conversation_of(call, self._client.decode)
        if self._copies(conversation, deployment) > 1:
            return None
        return relay_of_whole(self._client, self._upstream, call, deployment)

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class TranslatedStream(WatchedStream):
    """Translates the events of an upstream's dialect to the client's. Implements `protocols.StreamRelay`."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder, limits: AnswerLimits) -> None:
        super().__init__(decoder, encoder)
        self._held: list[Event] = []
        self._guard = StreamGuard(limits)
        self._no_arguments = NoArguments()

    @property
    def buffered_bytes(self) -> int:
        held = self._guard.held_chars
        return self._decoder.buffered_bytes + (held if held > _MAX_QUICK_CHARS else 0)

    def feed(self, data: bytes) -> bytes:
        if self.is_finished:
            return b""
        try:
            events = self._decoder.feed(data)
            out = self._encode(events) if events else b""
        except errors.UpstreamError as error:
            self._abort(error)
            return b""
        if not events or self._guard.held_chars > _MAX_QUICK_CHARS:  # Without events, one is incomplete.
            self.is_heavy = self.buffered_bytes > LARGE_EVENT_BYTES
        elif self.is_heavy:
            self.is_heavy = False
        return out

    def _encode(self, events: list[Event]) -> bytes:
        """Return the client's bytes for these events. All are held back until the first content."""
        self._watch_guarded(self._guard, events)
        if self._guard.unusual_calls:
            events = self._no_arguments.adapt(events, self._guard.unusual_calls)
        encodable = [
            self._guard.with_unique_id(event) if event.__class__ is ToolCallStarted else event
            for event in events
            if event.__class__ is not StreamEnded
        ]
        if not self.has_content:
            self._held += encodable
            if len(self._held) > MAX_HELD_BYTES // 64:
                raise errors.UpstreamMalformed(
                    f"The upstream's stream has no content in its first {len(self._held)} events."
                )
            return b""
        if self._held:
            encodable, self._held = self._held + encodable, []
        return self._encoder.encode(encodable) if encodable else b""

    def end(self) -> bytes:
        if not self.is_finished:
            try:
                out = self._encode(self._decoder.end())
            except errors.UpstreamError as error:
                self._abort(error)
                out = b""
            self.is_finished = True
        else:
            out = b""
        if self.error is not None:
            return out + self._encoder.fail(self.error)
        if self._held:
            out += self._encoder.encode(self._held)
        return out + self._encoder.end()


def relay_of_whole(
    client: ChatClient, upstream: ChatUpstream, call: Call, deployment: Deployment
) -> StreamRelay | None:
    """Return a relay for a whole answer instead of a stream; None if the upstream's streams are JSON themselves."""
    if isinstance(upstream.splitter(), LineSplitter):
        return None
    decoder = WholeAnswerDecoder(upstream, deployment)
    return TranslatedStream(decoder, client.stream(call, LossReport()), deployment.limits)


def client_only_fields(conversation: Conversation) -> Iterator[str]:
    """Yield the paths of members that only the client's dialect has: `foo`, `messages[].name`, `tools[].bar`."""
    yield from conversation.extras
    if conversation.reasoning is not None:
        yield from _extras_of("reasoning", conversation.reasoning)
    for message in conversation.messages:
        if message.extras:
            yield from (f"messages[].{name}" for name in message.extras)
        for part in message.parts:
            if getattr(part, "extras", None):
                yield from _extras_of("messages[].content[]", part)
    for tool in conversation.tools:
        yield from _extras_of("tools[]", tool)


def _extras_of(path: str, value: Struct) -> Iterator[str]:
    extras: dict[str, Any] = getattr(value, "extras", {})
    yield from (f"{path}.{name}" for name in extras)
