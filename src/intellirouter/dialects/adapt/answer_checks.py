"""Whether a model's answer holds together: repaired where that is provably safe, refused where it is not.

Refused means `UpstreamMalformed`: the attempt has failed, and the planner may ask somebody else. Repairs are those
that change nothing the model said: an id that two calls share, a finish that was left out.
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
    Conversation,
    Event,
    Finished,
    OutputFormat,
    Part,
    Reasoning,
    RefusalDelta,
    Response,
    Stop,
    Text,
    TextDelta,
    ToolCall,
    ToolCallBegan,
    WholePart,
)
from intellirouter.dialects.protocols import StreamDecoder, StreamRelay

CHECKED_NEEDS: Final = frozenset({"tools", "json_schema"})
"""A client that needs one of these relies on the form of the answer, so it is checked even where bytes only pass."""
_CUT: Final = frozenset({"length", "context_length", "content_filter", "refusal", "pause", "cancelled", "error"})
"""Answers that end early may end anywhere: they are passed on as they are."""
_FAILED: Final = frozenset({"malformed_tool_call", "error"})
"""Said in place of an answer, they are none. After some of it, the client gets what there is, and the reason."""
_LIMITS: Final = frozenset({"length", "context_length"})
_MIN_LOOPING: Final = 2_000
"""Characters at the end of an answer that are one text again and again."""
_MIN_PERIOD: Final = 4
_MAX_PERIOD: Final = 400
_MIN_TURNS: Final = 40
_FEW: Final = 64
_MIN_ENDLESS: Final = _MAX_PERIOD * _MIN_TURNS
"""The same of a stream that has not ended."""
_TAIL: Final = _MIN_ENDLESS + _MAX_PERIOD


def sound(response: Response, conversation: Conversation) -> Response:
    """Return the answer, repaired where needed. Raises `UpstreamMalformed`."""
    ids: set[str] = set()
    choices = [_choice(choice, conversation, ids) for choice in response.choices]
    if not choices:
        raise errors.UpstreamMalformed("The upstream's answer has no choices.")
    return structs.replace(response, choices=choices)


def is_as_told(repaired: Response, response: Response, body: bytes) -> bool:
    """Tell whether nothing was repaired, by `sound` or by the decoder, which mints ids that are missing or shared."""
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
        raise errors.UpstreamMalformed(f"The model called {call.name[:100]!r} with arguments that are no JSON object.")


def check_output(text: str, output: OutputFormat | None) -> None:
    """Raise `UpstreamMalformed` when a finished answer has not the form that the client asked for."""
    if output is None or output.kind == "text":
        return
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise errors.UpstreamMalformed("The client asked for JSON and the model's answer is none.") from None
    if output.schema is None:
        return
    try:
        validator = jsonschema_rs.validator_for(output.schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return  # a schema that no checker understands is the upstream's business
    problem = next(iter(validator.iter_errors(value)), None)
    if problem is not None:
        said = problem.message[:300]
        raise errors.UpstreamMalformed(f"The model's answer breaks the schema that the client asked for: {said}")


def check_repetition(text: str, *, least: int = _MIN_LOOPING) -> None:
    """Raise `UpstreamMalformed` for a model that ran away: the same few words over and over until the end.

    `least`: how many characters of that it takes.
    """
    if len(text) < least:
        return
    for period in _recurrences(text):
        window = max(least, period * _MIN_TURNS)
        if len(text) < window + period:
            return
        if text[-window:] == text[-window - period : -period] and not text[-period:].isspace():
            raise errors.UpstreamMalformed("The model repeats itself without end.")


def _recurrences(text: str) -> Iterator[int]:
    """Say how far back from the end the last few characters stand again, nearest first: only those can be periods."""
    last = text[-_FEW:]
    end = len(text)
    least = max(0, end - _FEW - _MAX_PERIOD)
    at = text.rfind(last, least, end - _MIN_PERIOD)
    while at >= 0:
        yield end - _FEW - at
        at = text.rfind(last, least, at + _FEW - 1)


class StreamGuard:
    """Watches a stream for what `sound` refuses in a whole answer. The text behind it is bounded."""

    __slots__ = ("_arguments", "_has_said", "_ids", "_pieces", "_seen")

    def __init__(self) -> None:
        self._has_said = False
        self._ids: set[str] = set()
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._pieces: list[str] = []
        self._seen = 0

    def watch(self, events: Iterable[Event]) -> None:
        """Raise `UpstreamMalformed` when the model ran away, or calls a tool with what is no JSON object."""
        for event in events:
            match event:
                case TextDelta():
                    self._has_said = True
                    self._take_text(event.text)
                case ToolCallBegan():
                    self._has_said = True
                    if event.kind == "function":
                        self._arguments[event.choice, event.part] = []
                case ArgumentsDelta():
                    if (pieces := self._arguments.get((event.choice, event.part))) is not None:
                        pieces.append(event.text)
                case RefusalDelta() | WholePart():
                    self._has_said = True
                case Finished():
                    if event.stop.reason in _FAILED and not self._has_said:
                        raise _no_answer(event.stop)
                    self._check_calls(event)
                case _:
                    pass

    def told_apart(self, event: Event) -> Event:
        """Return the event, with an id of its own where two calls share one."""
        if isinstance(event, ToolCallBegan):
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
            # Whether it stops by itself is not known yet: only what nobody asks for is stopped.
            check_repetition(tail, least=_MIN_ENDLESS)

    def _check_calls(self, event: Finished) -> None:
        if event.stop.reason in _CUT:
            return
        for (choice, _), pieces in self._arguments.items():
            call = ToolCall(id="", name="a tool", arguments="".join(pieces) or "{}")
            if choice == event.choice:
                _check_call(call)


class GuardedRelay:
    """A relay whose stream is read beside it by a guard; see `route.StreamRelay`. What it lets through stays bytes."""

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
        return out if self._is_sound(self._decoder.feed, data, had_content=had_content) else b""

    def _is_sound(self, read: Callable[..., list[Event]], *data: bytes, had_content: bool) -> bool:
        """Before the client has seen anything, what is wrong is the attempt's error; afterwards, the stream's."""
        try:
            self._guard.watch(read(*data))
        except errors.UpstreamMalformed as error:
            if not had_content:
                raise
            self._error = error
        except errors.UpstreamError:
            return True  # the relay tells of it itself
        return self._error is None

    def end(self) -> bytes:
        if self._error is None:
            out = self._relay.end()
            if self._relay.error is not None or self._is_sound(self._decoder.end, had_content=True):
                return out
        assert self._error is not None  # noqa: S101 - the only other way here
        return self._relay.fail(self._error)

    def fail(self, error: errors.GatewayError) -> bytes:
        return self._relay.fail(error)
