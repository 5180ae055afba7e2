"""Lanes between a client and an upstream: the relay of one dialect, the translation between two."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from intellirouter.core import Call, Clock, Deployment, LossReport, UpstreamRequest, Usage, errors
from intellirouter.dialects.adapt.answer_checks import CHECKED_NEEDS, StreamGuard, sound
from intellirouter.dialects.adapt.choices import MAX_COPIES, FanDecoder, joined, read_frames
from intellirouter.dialects.adapt.forced_tool import CallDecoder, as_call, as_schema, forced_tool
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.calls import conversation_of
from intellirouter.dialects.ir import (
    CONTENT_EVENTS,
    Began,
    Conversation,
    Ended,
    Event,
    Finished,
    FunctionTool,
    ToolCallBegan,
    UsageUpdate,
)
from intellirouter.dialects.protocols import (
    Answer,
    ChatClient,
    ChatUpstream,
    ResumingEncoder,
    Route,
    Splitter,
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
)
from intellirouter.dialects.spec import Traits
from intellirouter.dialects.wire.sse import check_utf8

_MAX_HELD_BYTES: Final = 256 * 1024


Edit = Callable[[bytes], bytes]


class ChatTranslation(Route):
    """A chat-like client over an upstream of another dialect."""

    is_local = False

    def __init__(self, client: ChatClient, upstream: ChatUpstream, traits: Traits) -> None:
        self._client = client
        self._upstream = upstream
        self._traits = traits

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:  # noqa: ARG002 - the dialect decides
        urls = urls_to_fetch(conversation_of(call, self._client.decode), self._traits.url_kinds)
        known = call.fetched
        return [url for url in urls if url not in known] if known else urls

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        conversation = conversation_of(call, self._client.decode)
        losses = LossReport(self._client.field_names)
        if call.fetched is not None:
            conversation = with_fetched(conversation, call.fetched, losses)
        copies = self._copies(conversation, deployment)
        if copies > 1:
            if copies > MAX_COPIES:
                raise errors.UnsupportedFeature(
                    f"More than {MAX_COPIES} choices cannot be asked of {deployment.name}.", param=losses.name_of("n")
                )
            losses.add("n", "emulated", f"{copies} requests")
            conversation = structs.replace(conversation, sampling=structs.replace(conversation.sampling, n=1))
        if (tool := self._forced(conversation)) is not None:
            conversation = as_schema(conversation, tool, losses)
        request = self._upstream.encode(conversation, deployment, losses)
        if conversation.dialect != self._upstream.dialect:
            for field in unsaid_fields(conversation):
                losses.dropped(field)
        return structs.replace(request, losses=losses.taken(), copies=copies)

    def _forced(self, conversation: Conversation) -> FunctionTool | None:
        return None if self._traits.can_force_tools else forced_tool(conversation)

    def _copies(self, conversation: Conversation, deployment: Deployment) -> int:
        if self._traits.has_choices and "n" not in deployment.quirks.refuses:
            return 1
        return conversation.sampling.n

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        conversation = conversation_of(call, self._client.decode)
        if self._copies(conversation, deployment) > 1:
            response = joined([self._upstream.decode(each, deployment) for _, each in read_frames(body)])
        else:
            response = self._upstream.decode(body, deployment)
        if (tool := self._forced(conversation)) is not None:
            response = as_call(response, tool)
        response = sound(response, conversation)
        losses = LossReport()
        encoded = self._client.encode(response, call, losses)
        stop = next((choice.stop for choice in response.choices if choice.stop is not None), None)
        return Answer(response.usage, None if stop is None else stop.reason, encoded, losses.taken())

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        conversation = conversation_of(call, self._client.decode)
        copies = self._copies(conversation, deployment)
        decoders = [self._upstream.stream(deployment) for _ in range(copies)]
        if (tool := self._forced(conversation)) is not None:
            decoders = [CallDecoder(decoder, tool) for decoder in decoders]
        decoder = decoders[0] if copies == 1 else FanDecoder(decoders)
        return TranslatedStream(decoder, self._client.stream(call, LossReport()))

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class ChatPassthrough(Route):
    """A chat-like client over an upstream of its own dialect: bytes pass, and are read beside it."""

    is_local = False

    def __init__(self, client: ChatClient, upstream: ChatUpstream) -> None:
        self._client = client
        self._upstream = upstream

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return self._upstream.relay_request(call, deployment)

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        response = self._upstream.decode(body, deployment)
        repaired: bytes | None = None
        if not call.needs.isdisjoint(CHECKED_NEEDS):
            held_together = sound(response, conversation_of(call, self._client.decode))
            if held_together != response:
                repaired = self._client.encode(held_together, call, LossReport())
        if repaired is None and (edit := self.edit(call)) is not None:
            repaired = edit(body)
        stop = next((choice.stop for choice in response.choices if choice.stop is not None), None)
        return Answer(response.usage, None if stop is None else stop.reason, repaired)

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        decoder, encoder = self._upstream.stream(deployment), self._client.stream(call, LossReport())
        guard = StreamGuard() if not call.needs.isdisjoint(CHECKED_NEEDS) else None
        return RelayedStream(decoder, encoder, self._upstream.splitter(), guard, self.edit(call))

    def edit(self, _call: Call, /) -> Edit | None:
        """Return what changes the answer on its way (a body, or a block of whole events); None: nothing does."""
        return None

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class _Watched:
    """What both kinds of stream learn from the upstream's events."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self.has_content = False
        self.is_finished = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.content_events = 0
        self.error: errors.UpstreamError | None = None

    def _watch(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, CONTENT_EVENTS):
                self.has_content = True
                self.content_events += 1
            elif isinstance(event, Finished):
                self.has_content = True
                self.finish_reason = event.stop.reason
            elif isinstance(event, UsageUpdate):
                self.usage = event.usage
            elif isinstance(event, Began):
                self.usage = event.usage or self.usage
            elif isinstance(event, Ended):
                self.is_finished = True

    def _guarded(self, guard: StreamGuard | None, events: list[Event]) -> None:
        """Watch events that may be passed on. Raises `UpstreamMalformed`; what has not been seen by then is unsaid."""
        try:
            if guard is not None:
                guard.watch(events)
        except errors.UpstreamMalformed:
            if self.has_content:  # too late for another attempt: what was used up is to be known
                self._watch(events)
            raise
        self._watch(events)

    def _broke(self, error: errors.UpstreamError) -> None:
        """Before content, the error is the attempt's; afterwards the client is told, and the stream is over."""
        if not self.has_content:
            raise error
        self.error, self.is_finished = error, True

    def fail(self, error: errors.GatewayError) -> bytes:
        return self._encoder.fail(error)


class TranslatedStream(_Watched):
    """Upstream events of one dialect become client events of another. See `route.StreamRelay`."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        super().__init__(decoder, encoder)
        self._held: list[Event] = []
        self._guard = StreamGuard()

    def feed(self, data: bytes) -> bytes:
        if self.is_finished:
            return b""
        try:
            return self._released(self._decoder.feed(data))
        except errors.UpstreamError as error:
            self._broke(error)
            return b""

    def _released(self, events: list[Event]) -> bytes:
        self._guarded(self._guard, events)
        said = [
            self._guard.told_apart(event) if event.__class__ is ToolCallBegan else event
            for event in events
            if event.__class__ is not Ended
        ]
        if not self.has_content:
            self._held += said
            if len(self._held) > _MAX_HELD_BYTES // 64:
                raise errors.UpstreamMalformed("The upstream's stream brings no content.")
            return b""
        if self._held:
            said, self._held = self._held + said, []
        return self._encoder.encode(said) if said else b""

    def end(self) -> bytes:
        if not self.is_finished:
            try:
                out = self._released(self._decoder.end())
            except errors.UpstreamError as error:
                self._broke(error)
                out = b""
            self.is_finished = True
        else:
            out = b""
        if self.error is not None:
            return out + self._encoder.fail(self.error)
        if self._held:
            out += self._encoder.encode(self._held)
        return out + self._encoder.end()


class RelayedStream(_Watched):
    """Upstream bytes go to the client as they came, whole events at a time; the last one is kept for `end`."""

    def __init__(
        self,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        splitter: Splitter,
        guard: StreamGuard | None,
        edit: Edit | None,
    ) -> None:
        super().__init__(decoder, encoder)
        self._splitter = splitter
        self._guard = guard
        self._edit = edit
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._sent = b""
        """The last block that the client got."""
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        if self.is_finished or not (block := self._splitter.feed(data)):
            return b""
        check_utf8(block)
        if self._edit is not None:
            block = self._edit(block)
        try:
            self._guarded(self._guard, self._decoder.feed(block))
        except errors.UpstreamError as error:
            self._broke(error)
            self._last = self.fail(error)
            return b""
        if self._holds_back():
            self._hold(block)
            return b""
        self._sent = block
        if not self._held:
            return block
        self._held.append(block)
        out, self._held = b"".join(self._held), []
        return out

    def fail(self, error: errors.GatewayError) -> bytes:
        if isinstance(self._encoder, ResumingEncoder):
            self._encoder.resume(self._sent)
        return self._encoder.fail(error)

    def _holds_back(self) -> bool:
        """Nothing is released before the first content, nor the last events before settlement."""
        return self.is_finished or not self.has_content

    def _hold(self, block: bytes) -> None:
        self._held.append(block)
        self._held_bytes += len(block)
        if self._held_bytes > _MAX_HELD_BYTES and not self.is_finished:
            raise errors.UpstreamMalformed("The upstream's stream brings no content.")

    def end(self) -> bytes:
        if not self.is_finished:
            rest = self._splitter.rest()
            if self._edit is not None:
                rest = self._edit(rest)
            try:
                self._guarded(self._guard, self._decoder.feed(rest) + self._decoder.end())
            except errors.UpstreamError as error:
                self._broke(error)
                self._last = self.fail(error)
            else:
                self._held.append(rest)
            self.is_finished = True
        return b"".join(self._held) + self._last


def unsaid_fields(conversation: Conversation) -> Iterator[str]:
    """Name the members that only the client's own dialect knows, by path: `foo`, `messages[].name`, `tools[].bar`."""
    yield from conversation.extras
    if conversation.reasoning is not None:
        yield from _of_struct("reasoning", conversation.reasoning)
    for message in conversation.messages:
        if message.extras:
            yield from (f"messages[].{name}" for name in message.extras)
        for part in message.parts:
            if getattr(part, "extras", None):
                yield from _of_struct("messages[].content[]", part)
    for tool in conversation.tools:
        yield from _of_struct("tools[]", tool)


def _of_struct(path: str, value: Struct) -> Iterator[str]:
    extras: dict[str, Any] = getattr(value, "extras", {})
    yield from (f"{path}.{name}" for name in extras)
