"""The route between a client and an upstream of the same dialect. Bytes are decoded, and relayed unchanged."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import structs

from intellirouter.core import Call, Clock, Deployment, Loss, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.answer_checks import (
    RepetitionGuard,
    check_endings,
    checked_answer,
    expected_output,
    guard_for,
    relies_on_format,
)
from intellirouter.dialects.adapt.answer_limits import check_limits
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.adapt.json_merge import merge
from intellirouter.dialects.adapt.repetition import MIN_REPETITION_CHARS
from intellirouter.dialects.calls import answer_model, conversation_of, original_of
from intellirouter.dialects.edits import only_differences
from intellirouter.dialects.ir import Conversation, Event, StreamFailed, finish_reason_of, take_failure
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
from intellirouter.dialects.routes.other_mode import decode_whole
from intellirouter.dialects.routes.translation import relay_of_whole
from intellirouter.dialects.routes.watched_stream import MAX_HELD_BYTES, WatchedStream
from intellirouter.dialects.spec import DialectSpec
from intellirouter.dialects.wire.sse import LARGE_EVENT_BYTES, not_utf8, valid_utf8_bytes

AnswerEdit = Callable[[bytes], bytes]
"""Changes an answer on its way to the client: a complete body, or a block of complete events."""


class RelayedStream(WatchedStream):
    """Relays complete events as they arrive; `end` returns the last one. Implements `protocols.StreamRelay`."""

    def __init__(
        self,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        splitter: Splitter,
        guard: RepetitionGuard | None,
        edit: AnswerEdit | None,
    ) -> None:
        super().__init__(decoder, encoder, guard or RepetitionGuard())
        self._splitter = splitter
        self._edit = edit
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._sent = b""
        """The last block with events that was sent to the client."""
        self._error_event = b""

    @property
    def buffered_bytes(self) -> int:
        return self._splitter.buffered_bytes + self._guard.late_chars

    def feed(self, data: bytes) -> bytes:
        if self.is_finished:
            return b""
        if not (block := self._splitter.feed(data)):
            self.is_heavy = self.buffered_bytes > LARGE_EVENT_BYTES
            return b""
        self.is_heavy = self._guard.late_chars > 0
        if not block.isascii() and valid_utf8_bytes(block) < len(block):
            return self._relay_valid(block)
        return self._relay(block)

    def _relay(self, block: bytes) -> bytes:
        if self._edit is not None:
            block = self._edit(block)
        events = self._decoder.feed(block)
        if events and events[-1].__class__ is StreamFailed:
            return self._relay_before(events, block)
        self._watch_guarded(events)
        if self._guard_error is not None:
            self._end_with(self._guard_error)
            return b""
        if self.is_finished or not self.has_content:  # It waits for settlement, or for the first content.
            self._hold(block)
            return b""
        if self._held:
            return self._released(block)
        if events or b"data:" in block:  # pings are not numbered
            self._sent = block
        return block

    def _relay_valid(self, block: bytes) -> bytes:
        """Relay the documents at the beginning of a block that is not valid UTF-8."""
        size = valid_utf8_bytes(block)
        ends = accumulate(map(len, documents := self._splitter.documents(block)))
        valid = b"".join(document for document, end in zip(documents, ends, strict=True) if end <= size)
        out = self._relay(valid) if valid else b""
        if not self.is_finished:
            self._end_with(not_utf8())
        return out

    def _relay_before(self, events: list[Event], block: bytes) -> bytes:
        """Relay what came before the error with which the upstream's stream ends."""
        failed = take_failure(events)
        assert failed is not None  # noqa: S101 - the caller has seen it
        error = failed.error
        block = b"".join(self._splitter.documents(block)[: failed.read_documents])
        if not self.has_content and isinstance(error, errors.UpstreamAnswerTooLarge):
            raise error  # Nothing has been sent yet, so another attempt is possible.
        self._watch_guarded(events)
        if self._guard_error is not None:
            error, block = self._guard_error, b""
        out = self._released(block) if block and self.has_content else b""
        self._end_with(error)
        return out

    def _end_with(self, error: errors.UpstreamError) -> None:
        """End the stream with an error. Raises it if there is no content yet."""
        self._abort(error)
        self._error_event = self.fail(error)

    def _released(self, block: bytes) -> bytes:
        """Return the bytes for the client: these, and those that have been held back."""
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

    def _hold(self, block: bytes) -> None:
        self._held.append(block)
        self._held_bytes += len(block)
        if self._held_bytes > MAX_HELD_BYTES and not self.is_finished:
            raise errors.UpstreamMalformed(f"The upstream's stream has no content in its first {MAX_HELD_BYTES} bytes.")

    def end(self) -> bytes:
        if not self.is_finished:
            rest = self._splitter.rest()
            if self._edit is not None:
                rest = self._edit(rest)
            self._read_rest(rest)
            self.is_finished = True
        return b"".join(self._held) + self._error_event

    def _read_rest(self, rest: bytes) -> None:
        """Read an incomplete event or the last chunks, which the client only gets if the stream ends well.

        Raises an error only if there is no content before.
        """
        had_content = self.has_content
        events = self._decoder.feed(rest)
        if (failed := take_failure(events)) is None:
            events += self._decoder.end()
            failed = take_failure(events)
        self._watch_guarded(events)
        if self._guard_error is not None:
            self._end_with(self._guard_error)
        elif failed is None:
            self._held.append(rest)
        elif not had_content:
            raise failed.error
        else:
            self._end_with(failed.error)


class ChatPassthrough(Route):
    """The passthrough between a chat-like client and an upstream of the same dialect."""

    is_local = False
    stream_class: type[RelayedStream] = RelayedStream

    def __init__(self, client: ChatClient, upstream: ChatUpstream) -> None:
        self._client = client
        self._upstream = upstream

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return self._upstream.relay_request(call, deployment)

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        response, is_stream = decode_whole(self._upstream, body, deployment)
        check_limits(response, deployment.limits)
        changed: bytes | None = None
        if is_stream:
            response.model = answer_model(response.model, call, deployment)
            changed = self._client.encode(response, call, LossReport())
        if not relies_on_format(call):
            if len(body) >= MIN_REPETITION_CHARS:
                try:
                    check_endings(response)
                except errors.UpstreamMalformed as error:
                    error.usage = response.usage
                    raise
        else:
            repaired = checked_answer(response, expected_output(call, self._client.decode))
            if repaired != response:
                repaired.model = answer_model(response.model, call, deployment)
                changed = self._client.encode(repaired, call, LossReport())
        if changed is None and (edit := self.answer_edit(call)) is not None:
            changed = edit(body)
        return Answer(response.usage, finish_reason_of(response.choices), changed)

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        decoder, encoder = self.decoder(deployment), self._client.stream(call, LossReport())
        guard = guard_for(call, self._client.decode, deployment.limits) or RepetitionGuard(deployment.limits)
        return self.stream_class(decoder, encoder, self._upstream.splitter(), guard, self.answer_edit(call))

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:
        return relay_of_whole(self._client, self._upstream, call, deployment)

    def decoder(self, deployment: Deployment) -> StreamDecoder:
        """Return the decoder for a stream, which is watched but not translated."""
        return self._upstream.stream(deployment)

    def answer_edit(self, _call: Call, /) -> AnswerEdit | None:
        """Return the function that changes the answer; None: the answer is relayed unchanged."""
        return None

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)


class EditedPassthrough(Route):
    """The passthrough for a call that a stage has edited. The edit is merged into the client's body."""

    is_local = False

    def __init__(self, passthrough: Route, client: ChatClient, upstream: ChatUpstream, spec: DialectSpec) -> None:
        self._passthrough = passthrough
        self._client = client
        self._upstream = upstream
        self._layout = spec.layout
        self._url_kinds = spec.traits.url_kinds

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:  # noqa: ARG002 - the dialect decides
        """Return the URLs that the edit has added. The client's own URLs are sent to the upstream."""
        ignored = {*urls_to_fetch(original_of(call, self._client.decode), self._url_kinds), *(call.fetched or ())}
        return [
            url
            for url in urls_to_fetch(conversation_of(call, self._client.decode), self._url_kinds)
            if url not in ignored
        ]

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        original, edited = original_of(call, self._client.decode), conversation_of(call, self._client.decode)
        if call.fetched:
            original = with_fetched(original, call.fetched, LossReport())
            edited = with_fetched(edited, call.fetched, LossReport())
        if original == edited:
            return self._passthrough.encode_request(call, deployment)
        base, ours = only_differences(original, edited)
        before, losses_before = self._encode(base, deployment)
        after, losses_after = self._encode(ours, deployment)
        body = msgspec.json.encode(merge(before, after, msgspec.json.decode(call.body), self._layout))
        request = self._passthrough.encode_request(self._client.decode_request(body, call.context), deployment)
        losses = [loss for loss in losses_after if loss not in losses_before and loss not in request.losses]
        return structs.replace(request, losses=(*request.losses, *losses)) if losses else request

    def _encode(self, conversation: Conversation, deployment: Deployment) -> tuple[Any, tuple[Loss, ...]]:
        losses = LossReport(self._client.field_names)
        request = self._upstream.encode(conversation, deployment, losses)
        return msgspec.json.decode(request.body), losses.taken()

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        return self._passthrough.decode_response(body, call, deployment)

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:
        return self._passthrough.relay(call, deployment)

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:
        return self._passthrough.relay_whole(call, deployment)

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._passthrough.decode_error(status, headers, body, deployment=deployment, clock=clock)
