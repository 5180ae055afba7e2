"""Checks of a model's answer. Malformed answers are repaired if that is safe, and otherwise rejected.

A rejection is `UpstreamMalformed`: the attempt has failed, and another deployment may be tried. Repairs do not change
content: calls with the same id get unique ids, arguments such as `null` become `{}`, and a missing stop reason is
added.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct, structs

from intellirouter.core import DEFAULT_ANSWER_LIMITS, AnswerLimits, Usage, errors, new_id
from intellirouter.dialects.adapt.answer_limits import AnswerCounter, too_many_chars
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Response,
    Stop,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    WholePart,
    are_no_arguments,
)
from intellirouter.dialects.protocols import StreamDecoder, StreamRelay


class _AnyObject(Struct):
    """Decoding this type checks that a text is a JSON object without building a value."""


_check_object: Final = msgspec.json.Decoder(_AnyObject).decode
CHECKED_NEEDS: Final = frozenset({"tools", "json_schema"})
"""Clients that need one of these rely on the format of the answer, so it is also checked in a passthrough."""
_CUT_OFF: Final = frozenset({"length", "context_length", "content_filter", "refusal", "pause", "cancelled", "error"})
"""The stop reasons of answers that are incomplete, so that their format is not checked."""
_FAILED: Final = frozenset({"malformed_tool_call", "error"})
"""The stop reasons of failed attempts, unless there is a part of an answer, which is passed on to the client."""
_LIMIT_REACHED: Final = frozenset({"length", "context_length"})
_MIN_REPETITION_CHARS: Final = 2_000
"""How many characters at the end of a complete answer must be repetitions of one text."""
_MIN_PERIOD: Final = 4
_MAX_PERIOD: Final = 400
_MIN_REPETITIONS: Final = 40
_PROBE_CHARS: Final = 64
_LOGPROB_CHARS: Final = 100
"""The size of the logprobs of one token, approximately."""
_MIN_STREAM_REPETITION_CHARS: Final = _MAX_PERIOD * _MIN_REPETITIONS
"""The same for a stream that has not ended."""
_ID: Final = re.compile(rb'"id"\s*+:\s*+"([^"\\]*+)"')
_TAIL_CHARS: Final = _MIN_STREAM_REPETITION_CHARS + _MAX_PERIOD


def validate_answer(response: Response, conversation: Conversation) -> Response:
    """Return the answer, repaired if necessary. Raises `UpstreamMalformed`."""
    ids: set[str] = set()
    choices = [_choice(choice, conversation, ids) for choice in response.choices]
    if not choices:
        raise errors.UpstreamMalformed("The upstream's response has no choices.")
    return structs.replace(response, choices=choices)


def is_unchanged(repaired: Response, response: Response, body: bytes) -> bool:
    """Return whether neither `validate_answer` nor the decoder, which adds missing call ids, has repaired anything."""
    ids = {part.id.encode() for choice in response.choices for part in choice.parts if isinstance(part, ToolCall)}
    return repaired == response and (not ids or ids.issubset(_ID.findall(body)))


def _choice(choice: Choice, conversation: Conversation, ids: set[str]) -> Choice:
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    stop = choice.stop or Stop(reason="tool_calls" if calls else "stop")
    if stop.reason in _FAILED and all(isinstance(part, Reasoning) for part in choice.parts):
        raise _failed_answer(stop)
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    if stop.reason in _CUT_OFF:
        if stop.reason in _LIMIT_REACHED:  # If the model stopped by itself, the client may have asked for repetition.
            check_repetition(text)
        return structs.replace(choice, stop=stop)
    for call in calls:
        _check_call(call)
    if not calls:
        check_output(text, conversation.output)
        return choice if choice.stop is not None else structs.replace(choice, stop=stop)
    return structs.replace(choice, parts=[_repaired(part, ids) for part in choice.parts], stop=stop)


def _failed_answer(stop: Stop) -> errors.UpstreamMalformed:
    reason = (stop.message or stop.raw)[:300]
    problem = "The model stopped before it had written an answer"
    return errors.UpstreamMalformed(errors.as_sentence(f"{problem}: {reason}" if reason else problem))


def _repaired(part: Part, ids: set[str]) -> Part:
    """Return the part. A tool call gets a unique id, and an object as its arguments."""
    if not isinstance(part, ToolCall):
        return part
    if part.kind == "function" and are_no_arguments(part.arguments):
        part = structs.replace(part, arguments="{}")
    if part.id in ids:
        part = structs.replace(part, id=new_id("call_"))
    ids.add(part.id)
    return part


def _check_call(call: ToolCall) -> None:
    if call.kind == "function" and not (is_json_object(call.arguments) or are_no_arguments(call.arguments)):
        raise errors.UpstreamMalformed(
            f"The model called {call.name[:100]!r} with arguments that are not a JSON object."
        )


def is_json_object(text: str) -> bool:
    """Return whether a text is a JSON object, without building it."""
    try:
        _check_object(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def check_output(text: str, output: OutputFormat | None) -> None:
    """Raise `UpstreamMalformed` if a complete answer does not have the format that the client asked for."""
    if output is None or output.kind == "text":
        return
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise errors.UpstreamMalformed("The model's answer is not valid JSON, which the client asked for.") from None
    if output.schema is None:
        return
    jsonschema_rs = importlib.import_module("jsonschema_rs")  # 3 MB, which only structured output needs
    try:
        validator = jsonschema_rs.validator_for(output.schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return  # The validator does not support this schema. The upstream has accepted it.
    problem = next(iter(validator.iter_errors(value)), None)
    if problem is not None:
        raise errors.UpstreamMalformed(
            "The model's answer does not match the schema that the client asked for: "
            + errors.as_sentence(problem.message[:300])
        )


def check_repetition(text: str, *, min_chars: int = _MIN_REPETITION_CHARS) -> None:
    """Raise `UpstreamMalformed` if the answer ends with at least `min_chars` characters of one repeated text."""
    if len(text) < min_chars:
        return
    for period in _candidate_periods(text):
        window = max(min_chars, period * _MIN_REPETITIONS)
        if len(text) < window + period:
            return
        if text[-window:] == text[-window - period : -period] and not text[-period:].isspace():
            raise errors.UpstreamMalformed("The model repeats itself without end.")


def _candidate_periods(text: str) -> Iterator[int]:
    """Yield the distances at which the last characters occur again, shortest first. Only these can be periods."""
    last = text[-_PROBE_CHARS:]
    end = len(text)
    start = max(0, end - _PROBE_CHARS - _MAX_PERIOD)
    at = text.rfind(last, start, end - _MIN_PERIOD)
    while at >= 0:
        yield end - _PROBE_CHARS - at
        at = text.rfind(last, start, at + _PROBE_CHARS - 1)


_NO_CALLS: Final[dict[int, list[str]]] = {}


class StreamGuard(AnswerCounter):
    """Checks a stream for what `validate_answer` rejects in a complete answer. It stores a bounded part of the text."""

    __slots__ = (
        "_arguments",
        "_chars",
        "_has_output",
        "_ids",
        "_pieces",
        "_unchecked_chars",
        "held_chars",
        "unusual_calls",
    )

    def __init__(self, limits: AnswerLimits = DEFAULT_ANSWER_LIMITS) -> None:
        super().__init__(limits)
        self._has_output = False
        self._ids: set[str] = set()
        self._arguments: dict[int, dict[int, list[str]]] = {}
        """The arguments of functions, by choice and part."""
        self._pieces: list[str] = []
        self._unchecked_chars = 0
        self._chars = 0
        self.held_chars = 0
        """The size of what encoders may hold back until the end: arguments of tool calls, and logprobs."""
        self.unusual_calls: set[tuple[int, int]] = set()
        """The choice and part of function calls whose arguments do not begin with a brace."""

    def watch(self, events: Iterable[Event]) -> None:
        """Raise `UpstreamMalformed` for endless repetition, for tool arguments that are not a JSON object, and for an
        answer that exceeds a limit.
        """
        for event in events:
            if event.__class__ is TextDelta and event.part <= self._max_part:
                self._watch_text(event)
                continue
            self._count(event)
            match event:
                case ToolCallStarted():
                    self._has_output = True
                    if event.kind == "function":
                        self._arguments.setdefault(event.choice, {})[event.part] = []
                case ArgumentsDelta():
                    self.held_chars += len(event.text)
                    self._add_chars(len(event.text))
                    self._add_arguments(event)
                case ReasoningDelta():
                    self._add_chars(len(event.text))
                case RefusalDelta():
                    self._has_output = True
                    self._add_chars(len(event.text))
                case WholePart():
                    self._has_output = True
                case ChoiceFinished():
                    if event.stop.reason in _FAILED and not self._has_output:
                        raise _failed_answer(event.stop)
                    self._check_calls(event)
                case _:
                    pass

    def _add_arguments(self, event: ArgumentsDelta) -> None:
        pieces = self._arguments.get(event.choice, _NO_CALLS).get(event.part)
        if pieces is not None and event.text:
            if not pieces and event.text[0] != "{":
                self.unusual_calls.add((event.choice, event.part))
            pieces.append(event.text)

    def with_unique_id(self, event: Event) -> Event:
        """Return the event, with a new id if it starts a tool call whose id is already in use."""
        if isinstance(event, ToolCallStarted):
            if event.id in self._ids:
                event = structs.replace(event, id=new_id("call_"))
            self._ids.add(event.id)
        return event

    def _add_chars(self, count: int) -> None:
        self._chars += count
        if self._chars > self._limits.chars:
            raise too_many_chars(self._limits)

    def _watch_text(self, event: TextDelta) -> None:
        self._has_output = True
        self._pieces.append(event.text)
        self._unchecked_chars += len(event.text)
        if event.logprobs is not None:
            self.held_chars += len(event.logprobs) * _LOGPROB_CHARS
        if self._unchecked_chars >= _MIN_REPETITION_CHARS:
            self._add_chars(self._unchecked_chars)
            self._unchecked_chars = 0
            tail = "".join(self._pieces)[-_TAIL_CHARS:]
            self._pieces = [tail]
            # The client may have asked for some repetition, so a stream gets a higher limit.
            check_repetition(tail, min_chars=_MIN_STREAM_REPETITION_CHARS)

    def _check_calls(self, event: ChoiceFinished) -> None:
        if event.stop.reason in _CUT_OFF:
            return
        for pieces in self._arguments.pop(event.choice, _NO_CALLS).values():
            _check_call(ToolCall(id="", name="a tool", arguments="".join(pieces)))


class GuardedRelay:
    """A relay whose stream is also decoded and checked. Its bytes are relayed unchanged."""

    def __init__(self, relay: StreamRelay, decoder: StreamDecoder, limits: AnswerLimits) -> None:
        self._relay = relay
        self._decoder = decoder
        self._guard = StreamGuard(limits)
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

    @property
    def buffered_bytes(self) -> int:
        return self._relay.buffered_bytes

    @property
    def is_heavy(self) -> bool:
        return self._relay.is_heavy

    def feed(self, data: bytes) -> bytes:
        had_content = self._relay.has_content
        out = self._relay.feed(data)
        return out if self._is_valid(self._decoder.feed, data, had_content=had_content) else b""

    def _is_valid(self, read: Callable[..., list[Event]], *data: bytes, had_content: bool) -> bool:
        """Return whether the guard accepts the events. Raises its error if the client has not been sent any content."""
        try:
            self._guard.watch(read(*data))
        except errors.UpstreamMalformed as error:
            if not had_content:
                raise
            self._error = error
        except errors.UpstreamError:
            return True  # The relay reports it.
        return self._error is None

    def end(self) -> bytes:
        if self._error is None:
            out = self._relay.end()
            if self._relay.error is not None or self._is_valid(self._decoder.end, had_content=True):
                return out
        assert self._error is not None  # noqa: S101 - the only remaining case
        return self._relay.fail(self._error)

    def fail(self, error: errors.GatewayError) -> bytes:
        return self._relay.fail(error)
