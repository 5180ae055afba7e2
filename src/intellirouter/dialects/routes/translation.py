"""The route between a client and an upstream of different dialects, through the intermediate form."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from intellirouter.core import Call, Clock, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.answer_checks import StreamGuard, expected_output, validate_answer
from intellirouter.dialects.adapt.answer_limits import check_limits
from intellirouter.dialects.adapt.answer_media import with_answer_media_of_user
from intellirouter.dialects.adapt.auto_cache_marks import with_auto_marks
from intellirouter.dialects.adapt.cache_marks import count_marks
from intellirouter.dialects.adapt.choices import MAX_COPIES, ChoicesDecoder, join_responses, read_frames
from intellirouter.dialects.adapt.forced_choice import ForcedCall, forced_call
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.adapt.no_arguments import NoArguments
from intellirouter.dialects.adapt.paired_results import with_paired_results
from intellirouter.dialects.adapt.remembered_reasoning import (
    AnswerWatcher,
    Issuer,
    issuer_of,
    remember,
    with_remembered,
)
from intellirouter.dialects.adapt.sampling_ranges import with_fitted_sampling
from intellirouter.dialects.adapt.tool_fit import ToolFit, tool_fit
from intellirouter.dialects.adapt.tool_names import with_distinct_tools
from intellirouter.dialects.adapt.typed_media import with_media_types
from intellirouter.dialects.calls import answer_model, conversation_of
from intellirouter.dialects.ir import (
    ChoiceFinished,
    Conversation,
    Event,
    Media,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    ToolCall,
    ToolCallStarted,
    ToolResult,
    finish_reason_of,
    take_failure,
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

_MEDIA_TYPES: Final = frozenset({Media, ToolResult})
_TOOL_TYPES: Final = frozenset({ToolCall, ToolResult})
_DIALECTS_WITHOUT_IDS: Final = frozenset({"ollama", "gemini"})
"""Client dialects whose tool calls have no id, or whose clients may omit it."""


def with_fitted_parts(
    conversation: Conversation, deployment: Deployment, traits: Traits, losses: LossReport
) -> Conversation:
    """Return the conversation of another dialect with media and tool results as every upstream accepts them."""
    if conversation.tools:
        conversation = with_distinct_tools(conversation, losses)
    types = conversation.part_types()
    if Media in types and not traits.takes_media_in_answers:
        conversation = with_answer_media_of_user(conversation, losses)
    if not types.isdisjoint(_TOOL_TYPES):
        conversation = with_paired_results(conversation, losses)
    if not types.isdisjoint(_MEDIA_TYPES):
        conversation = with_media_types(conversation, deployment, traits.image_types, losses)
    return conversation


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
        if (memory := call.memory) is not None and not memory.is_empty and self._is_between_dialects(conversation):
            conversation = with_remembered(conversation, memory, issuer_of(deployment, self._upstream.dialect))
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
        if self._is_between_dialects(conversation):
            conversation = with_fitted_parts(conversation, deployment, self._traits, losses)
            conversation = with_fitted_sampling(conversation, self._upstream.dialect, deployment, losses)
        if (fit := self._fit(conversation)) is not None:
            conversation = fit.for_upstream(conversation, losses)
        if (forced := self._forced_call(conversation)) is not None:
            conversation = forced.requested(conversation, losses)
        marked = self._with_marks(conversation, deployment) if copies == 1 else None
        request = self._upstream.encode(marked or conversation, deployment, losses)
        if self._is_between_dialects(conversation):
            for field in client_only_fields(conversation):
                losses.dropped(field)
        cache_marks = 0 if marked is None else count_marks(marked)
        return structs.replace(request, losses=losses.taken(), copies=copies, cache_marks=cache_marks)

    def _with_marks(self, conversation: Conversation, deployment: Deployment) -> Conversation | None:
        """Return the conversation with prompt-cache marks; None if it needs none, or has the client's."""
        if self._traits.cache_marks == "none" or not self._is_between_dialects(conversation):
            return None
        marks_tools = self._traits.cache_marks == "anywhere" or deployment.profile.caches_tools
        return with_auto_marks(conversation, deployment, marks_tools=marks_tools)

    def _is_between_dialects(self, conversation: Conversation) -> bool:
        return conversation.dialect != self._upstream.dialect

    def _can_be_remembered(self, conversation: Conversation, issuer: Issuer) -> bool:
        """Return whether an answer can have something that its client may not send back."""
        return bool(conversation.tools or issuer.signs_texts) and self._is_between_dialects(conversation)

    def _forced_call(self, conversation: Conversation) -> ForcedCall | None:
        return None if self._traits.can_force_tools else forced_call(conversation)

    def _fit(self, conversation: Conversation) -> ToolFit | None:
        has_tools = conversation.tools or conversation.tool_choice
        if not has_tools and conversation.part_types().isdisjoint(_TOOL_TYPES):
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
        if (forced := self._forced_call(conversation)) is not None:
            response = forced.answered(response)
        if (fit := self._fit(conversation)) is not None:
            response = fit.for_client(response)
        response = validate_answer(response, conversation)
        if (memory := call.memory) is not None:
            issuer = issuer_of(deployment, self._upstream.dialect)
            if self._can_be_remembered(conversation, issuer):
                has_ids = _has_call_ids(call)
                for choice in response.choices:
                    remember(memory, choice.parts, conversation, issuer, has_ids=has_ids)
        response.model = answer_model(response.model, call, deployment)
        losses = LossReport()
        encoded = self._client.encode(response, call, losses)
        return Answer(response.usage, finish_reason_of(response.choices), encoded, losses.taken())

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        conversation = conversation_of(call, self._client.decode)
        copies = self._copies(conversation, deployment)
        decoders = [self._upstream.stream(deployment) for _ in range(copies)]
        if (forced := self._forced_call(conversation)) is not None:
            decoders = [forced.decoder(decoder, deployment.limits) for decoder in decoders]
        return self._relay_of(decoders[0] if copies == 1 else ChoicesDecoder(decoders), call, conversation, deployment)

    def _relay_of(
        self, decoder: StreamDecoder, call: Call, conversation: Conversation, deployment: Deployment
    ) -> StreamRelay:
        if (fit := self._fit(conversation)) is not None:
            decoder = fit.stream(decoder, deployment.limits)
        watcher = self._watcher(call, conversation, deployment)
        guard = StreamGuard(deployment.limits, conversation.output, conversation)
        return translated_stream(decoder, self._client, call, deployment, guard, watcher)

    @property
    def dialect(self) -> str:
        """That of the upstream."""
        return self._upstream.dialect

    def rest_of_stream(
        self,
        call: Call,
        deployment: Deployment,
        only_rest: Callable[[StreamDecoder], StreamDecoder],
        encoder: StreamEncoder,
        *,
        is_whole: bool,
    ) -> StreamRelay | None:
        """Return the relay that writes the rest of a stream with its `encoder`. `only_rest` selects it.

        `is_whole`: the upstream answers with a JSON document instead of a stream; None if its streams are JSON, too.
        """
        if is_whole and isinstance(self._upstream.splitter(), LineSplitter):
            return None
        conversation = conversation_of(call, self._client.decode)
        decoder = WholeAnswerDecoder(self._upstream, deployment) if is_whole else self._upstream.stream(deployment)
        if (fit := self._fit(conversation)) is not None:
            decoder = fit.stream(decoder, deployment.limits)
        return TranslatedStream(only_rest(decoder), encoder, StreamGuard(deployment.limits, None, conversation))

    def _watcher(self, call: Call, conversation: Conversation, deployment: Deployment) -> AnswerWatcher | None:
        """Return what remembers the tokens in a stream; None if there can be none."""
        if call.memory is None:
            return None
        issuer = issuer_of(deployment, self._upstream.dialect)
        if not self._can_be_remembered(conversation, issuer):
            return None
        return AnswerWatcher(call.memory, conversation, issuer, has_ids=_has_call_ids(call))

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:
        conversation = conversation_of(call, self._client.decode)
        if self._copies(conversation, deployment) > 1 or isinstance(self._upstream.splitter(), LineSplitter):
            return None
        decoder: StreamDecoder = WholeAnswerDecoder(self._upstream, deployment)
        if (forced := self._forced_call(conversation)) is not None:
            decoder = forced.decoder(decoder, deployment.limits)
        return self._relay_of(decoder, call, conversation, deployment)

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class TranslatedStream(WatchedStream):
    """Translates the events of an upstream's dialect to the client's. Implements `protocols.StreamRelay`."""

    def __init__(
        self,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        guard: StreamGuard,
        model_of: Callable[[str], str] | None = None,
        watcher: AnswerWatcher | None = None,
    ) -> None:
        """`model_of` takes the model that the upstream reports, and returns the one that the client reads."""
        super().__init__(decoder, encoder, guard)
        self._model_of = model_of
        self._watcher = watcher
        self._held: list[Event] = []
        self._guard: StreamGuard = guard
        self._repairs: dict[type, Callable[[Event], Event]] = {
            ToolCallStarted: guard.with_unique_id,
            ChoiceFinished: guard.with_calls_or_stop,
        }
        self._no_arguments = NoArguments()

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes + self._guard.late_chars

    def feed(self, data: bytes) -> bytes:
        if self.is_finished:
            return b""
        events = self._decoder.feed(data)
        if not events:
            out = b""
        elif events[-1].__class__ is StreamFailed:
            return self._end_with_failure(events)
        else:
            try:
                out = self._encode(events)
            except errors.UpstreamError as error:
                self._abort(error)
                return b""
            if self._guard_error is not None:
                self._abort(self._guard_error)
        if not events or self._guard.late_chars:  # Without events, one is incomplete.
            self.is_heavy = self.buffered_bytes > LARGE_EVENT_BYTES
        elif self.is_heavy:
            self.is_heavy = False
        return out

    def _end_with_failure(self, events: list[Event], *, is_end: bool = False) -> bytes:
        """Return the client's bytes for what came before the error with which the upstream's stream ends."""
        had_content = self.has_content
        failed = take_failure(events)
        error = None if failed is None else failed.error
        out = b""
        try:
            out = self._encode(events)
        except errors.UpstreamError as problem:
            error = problem
        if (error := self._guard_error or error) is not None:
            # Nothing has been sent yet, so another attempt is possible.
            if not had_content and (is_end or isinstance(error, errors.UpstreamAnswerTooLarge)):
                raise error
            self._abort(error)
        return out

    def _encode(self, events: list[Event]) -> bytes:
        """Return the client's bytes for these events. All are held back until the first content."""
        self._watch_guarded(events)
        if self._model_of is not None:
            self._name_model(events, self._model_of)
        if self._guard.unusual_calls:
            events = self._no_arguments.adapt(events, self._guard.unusual_calls)
        repairs = self._repairs
        encodable = [
            repairs[event.__class__](event) if event.__class__ in repairs else event
            for event in events
            if event.__class__ is not StreamEnded
        ]
        if self._watcher is not None:
            self._watcher.watch(encodable)
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

    def _name_model(self, events: list[Event], model_of: Callable[[str], str]) -> None:
        for event in events:
            if isinstance(event, StreamStarted):
                event.model = model_of(event.model)
                self._model_of = None

    def end(self) -> bytes:
        if not self.is_finished:
            out = self._end_with_failure(self._decoder.end(), is_end=True)
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
    """Return a passthrough's relay for a whole answer instead of a stream; None if the streams are JSON themselves."""
    if isinstance(upstream.splitter(), LineSplitter):
        return None
    guard = StreamGuard(deployment.limits, expected_output(call, client.decode))
    return translated_stream(WholeAnswerDecoder(upstream, deployment), client, call, deployment, guard)


def translated_stream(
    decoder: StreamDecoder,
    client: ChatClient,
    call: Call,
    deployment: Deployment,
    guard: StreamGuard,
    watcher: AnswerWatcher | None = None,
) -> TranslatedStream:
    """Return the stream that a client of another dialect, or in another mode, reads."""

    def model_of(reported: str) -> str:
        return answer_model(reported, call, deployment)

    return TranslatedStream(decoder, client.stream(call, LossReport()), guard, model_of, watcher)


def _has_call_ids(call: Call) -> bool:
    """Return whether clients of this call can send the ids of tool calls back."""
    if call.dialect in _DIALECTS_WITHOUT_IDS:
        return False
    return call.dialect != "openai_chat" or b'"functions"' not in call.body


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
