"""Checks of a model's answer: what is malformed is repaired where that is safe, and rejected where it is not.

A rejection is `UpstreamMalformed`: the attempt has failed, and the planner may try another deployment. A repair changes
nothing that the model said: two calls that share an id get ids of their own, a missing finish is added.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import jsonschema_rs
import msgspec
from msgspec import structs

from intellirouter.core import Usage, errors, new_id
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    OutputFormat,
    Part,
    Reasoning,
    RefusalDelta,
    Response,
    Stop,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    WholePart,
)
from intellirouter.dialects.protocols import StreamDecoder, StreamRelay

CHECKED_NEEDS: Final = frozenset({"tools", "json_schema"})
"""A client that needs one of these relies on the form of the answer: it is checked in a passthrough, too."""
_CUT: Final = frozenset({"length", "context_length", "content_filter", "refusal", "pause", "cancelled", "error"})
"""Answers that end early may end anywhere: they are passed on unchanged."""
_FAILED: Final = frozenset({"malformed_tool_call", "error"})
"""Without an answer before it, such an end is a failed attempt. After a part of the answer, the client gets both."""
_LIMITS: Final = frozenset({"length", "context_length"})
_MIN_LOOPING: Final = 2_000
"""How many characters at the end of an answer must be repetitions of one text."""
_MIN_PERIOD: Final = 4
_MAX_PERIOD: Final = 400
_MIN_TURNS: Final = 40
_FEW: Final = 64
_MIN_ENDLESS: Final = _MAX_PERIOD * _MIN_TURNS
"""The same for a stream that has not ended."""
_TAIL: Final = _MIN_ENDLESS + _MAX_PERIOD


def validate_answer(response: Response, conversation: Conversation) -> Response:
    """Return the answer, repaired if necessary. Raises `UpstreamMalformed`."""
    ids: set[str] = set()
    choices = [_choice(choice, conversation, ids) for choice in response.choices]
    if not choices:
        raise errors.UpstreamMalformed("The upstream's answer has no choices.")
    return structs.replace(response, choices=choices)


def is_unchanged(repaired: Response, response: Response, body: bytes) -> bool:
    """Return whether nothing was repaired, by `validate_answer` or by the decoder, which adds missing call ids."""
    ids = (part.id for choice in response.choices for part in choice.parts if isinstance(part, ToolCall))
    return repaired == response and all(each.encode() in body for each in ids)


def _choice(choice: Choice, conversation: Conversation, ids: set[str]) -> Choice:
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    stop = choice.stop or Stop(reason="tool_calls" if calls else "stop")
    if stop.reason in _FAILED and all(isinstance(part, Reasoning) for part in choice.parts):
        raise _no_answer(stop)
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    if stop.reason in _CUT:
        if stop.reason in _LIMITS:  # one that stopped by itself may have been asked to repeat
            check_repetition(text)
        return structs.replace(choice, stop=stop)
    for call in calls:
        _check_call(call)
    if not calls:
        check_output(text, conversation.output)
        return choice if choice.stop is not None else structs.replace(choice, stop=stop)
    return structs.replace(choice, parts=[_with_own_id(part, ids) for part in choice.parts], stop=stop)


def _no_answer(stop: Stop) -> errors.UpstreamMalformed:
    said = stop.message or stop.raw
    return errors.UpstreamMalformed(f"The model broke off before it answered{f': {said[:300]}' if said else '.'}")


def _with_own_id(part: Part, ids: set[str]) -> Part:
    if not isinstance(part, ToolCall):
        return part
    if part.id in ids:
        part = structs.replace(part, id=new_id("call_"))
    ids.add(part.id)
    return part


def _check_call(call: ToolCall) -> None:
    if call.kind == "function" and call.arguments_object() is None:
        raise errors.UpstreamMalformed(
            f"The model called {call.name[:100]!r} with arguments that are not a JSON object."
        )


def check_output(text: str, output: OutputFormat | None) -> None:
    """Raise `UpstreamMalformed` when a finished answer is not in the format that the client asked for."""
    if output is None or output.kind == "text":
        return
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise errors.UpstreamMalformed("The client asked for JSON, but the model's answer is not valid JSON.") from None
    if output.schema is None:
        return
    try:
        validator = jsonschema_rs.validator_for(output.schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return  # a schema that the validator does not understand is left to the upstream
    problem = next(iter(validator.iter_errors(value)), None)
    if problem is not None:
        said = problem.message[:300]
        raise errors.UpstreamMalformed(
            f"The model's answer does not match the schema that the client asked for: {said}"
        )


def check_repetition(text: str, *, least: int = _MIN_LOOPING) -> None:
    """Raise `UpstreamMalformed` for an answer that ends with at least `least` characters of one repeated text."""
    if len(text) < least:
        return
    for period in _recurrences(text):
        window = max(least, period * _MIN_TURNS)
        if len(text) < window + period:
            return
        if text[-window:] == text[-window - period : -period] and not text[-period:].isspace():
            raise errors.UpstreamMalformed("The model repeats itself endlessly.")


def _recurrences(text: str) -> Iterator[int]:
    """Yield how far before the end the last few characters occur again, nearest first: only those can be periods."""
    last = text[-_FEW:]
    end = len(text)
    least = max(0, end - _FEW - _MAX_PERIOD)
    at = text.rfind(last, least, end - _MIN_PERIOD)
    while at >= 0:
        yield end - _FEW - at
        at = text.rfind(last, least, at + _FEW - 1)


class StreamGuard:
    """Watches a stream for what `validate_answer` rejects in a whole answer. It keeps a bounded part of the text."""

    __slots__ = ("_arguments", "_has_said", "_ids", "_pieces", "_seen")

    def __init__(self) -> None:
        self._has_said = False
        self._ids: set[str] = set()
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._pieces: list[str] = []
        self._seen = 0

    def watch(self, events: Iterable[Event]) -> None:
        """Raise `UpstreamMalformed` for endless repetition, or for tool arguments that are not a JSON object."""
        for event in events:
            match event:
                case TextDelta():
                    self._has_said = True
                    self._take_text(event.text)
                case ToolCallStarted():
                    self._has_said = True
                    if event.kind == "function":
                        self._arguments[event.choice, event.part] = []
                case ArgumentsDelta():
                    if (pieces := self._arguments.get((event.choice, event.part))) is not None:
                        pieces.append(event.text)
                case RefusalDelta() | WholePart():
                    self._has_said = True
                case ChoiceFinished():
                    if event.stop.reason in _FAILED and not self._has_said:
                        raise _no_answer(event.stop)
                    self._check_calls(event)
                case _:
                    pass

    def with_unique_id(self, event: Event) -> Event:
        """Return the event, with a new id if another call has the same."""
        if isinstance(event, ToolCallStarted):
            if event.id in self._ids:
                event = structs.replace(event, id=new_id("call_"))
            self._ids.add(event.id)
        return event

    def _take_text(self, text: str) -> None:
        self._pieces.append(text)
        self._seen += len(text)
        if self._seen >= _MIN_LOOPING:
            self._seen = 0
            tail = "".join(self._pieces)[-_TAIL:]
            self._pieces = [tail]
            # The client may have asked for some repetition, so a stream gets a higher limit.
            check_repetition(tail, least=_MIN_ENDLESS)

    def _check_calls(self, event: ChoiceFinished) -> None:
        if event.stop.reason in _CUT:
            return
        for (choice, _), pieces in self._arguments.items():
            call = ToolCall(id="", name="a tool", arguments="".join(pieces) or "{}")
            if choice == event.choice:
                _check_call(call)


class GuardedRelay:
    """A relay whose stream is also decoded and guarded; its bytes pass unchanged."""

    def __init__(self, relay: StreamRelay, decoder: StreamDecoder) -> None:
        self._relay = relay
        self._decoder = decoder
        self._guard = StreamGuard()
        self._error: errors.UpstreamMalformed | None = None

    @property
    def has_content(self) -> bool:
        return self._relay.has_content

    @property
    def is_finished(self) -> bool:
        return self._error is not None or self._relay.is_finished

    @property
    def usage(self) -> Usage | None:
        return self._relay.usage

    @property
    def finish_reason(self) -> str | None:
        return self._relay.finish_reason

    @property
    def content_events(self) -> int:
        return self._relay.content_events

    @property
    def error(self) -> errors.UpstreamError | None:
        return self._error or self._relay.error

    def feed(self, data: bytes) -> bytes:
        had_content = self._relay.has_content
        out = self._relay.feed(data)
        return out if self._passes(self._decoder.feed, data, had_content=had_content) else b""

    def _passes(self, read: Callable[..., list[Event]], *data: bytes, had_content: bool) -> bool:
        """Return whether the guard lets the events pass. Raises its error while the client has seen no content."""
        try:
            self._guard.watch(read(*data))
        except errors.UpstreamMalformed as error:
            if not had_content:
                raise
            self._error = error
        except errors.UpstreamError:
            return True  # the relay reports it
        return self._error is None

    def end(self) -> bytes:
        if self._error is None:
            out = self._relay.end()
            if self._relay.error is not None or self._passes(self._decoder.end, had_content=True):
                return out
        assert self._error is not None  # noqa: S101 - the only other case
        return self._relay.fail(self._error)

    def fail(self, error: errors.GatewayError) -> bytes:
        return self._relay.fail(error)
