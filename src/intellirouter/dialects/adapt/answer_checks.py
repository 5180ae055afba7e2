"""Checks of a model's answer. Malformed answers are repaired if that is safe, and otherwise rejected.

A rejection is `UpstreamMalformed`: the attempt has failed, and another deployment may be tried. Repairs do not change
content: calls with an id that is in use get unique ids, arguments such as `null` become `{}`, and a missing stop reason
is added.
"""

import importlib
import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct, structs

from intellirouter.core import DEFAULT_ANSWER_LIMITS, AnswerLimits, Call, errors, new_id
from intellirouter.dialects.adapt.answer_limits import AnswerCounter, too_many_chars
from intellirouter.dialects.adapt.repetition import MIN_REPETITION_CHARS, TextTail, check_text
from intellirouter.dialects.adapt.schema_cost import is_expensive
from intellirouter.dialects.calls import ConversationCall, conversation_of, narrow_call
from intellirouter.dialects.error_causes import FAILED_FINISHES
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    Foreign,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Response,
    Stop,
    StreamEnded,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    WholePart,
    are_no_arguments,
)


class _AnyObject(Struct):
    """Decoding this type checks that a text is a JSON object without building a value."""


_check_object: Final = msgspec.json.Decoder(_AnyObject).decode
_CHECKED_NEEDS: Final = frozenset({"tools", "json_schema"})
_CUT_OFF: Final = frozenset({"length", "context_length", "content_filter", "refusal", "pause", "cancelled"})
"""The stop reasons of answers that are incomplete, so that their format is not checked."""
_FAILED: Final = frozenset({"malformed_tool_call", "error"})
"""The stop reasons of failed attempts. Most dialects lack them, so a part of an answer would look like a whole one."""
_LIMIT_REACHED: Final = frozenset({"length", "context_length"})
_MAX_QUICK_CHARS: Final = 128 * 1024
"""How much can be processed at the end of a stream in a time that is too short to matter."""
_LOGPROB_CHARS: Final = 100
"""The size of the logprobs of one token, approximately."""
_ID_PUNCTUATION: Final = re.compile(r"[^a-zA-Z0-9_-]")


def relies_on_format(call: Call) -> bool:
    """Return whether the client relies on the format of the answer, so that it is also checked in a passthrough."""
    return not call.needs.isdisjoint(_CHECKED_NEEDS) or (isinstance(call, ConversationCall) and call.wants_json)


def expected_output(call: Call, decode: Callable[[Call], Conversation]) -> OutputFormat | None:
    """Return the format that the client has asked for in a passthrough.

    None also if the request cannot be decoded: the upstream has accepted it, and has done its work.
    """
    if "json_schema" not in call.needs and not narrow_call(call, ConversationCall).wants_json:
        return None
    try:
        return conversation_of(call, decode).output
    except (errors.InvalidRequest, errors.UnsupportedFeature):
        return None


def validate_answer(response: Response, conversation: Conversation) -> Response:
    """Return the answer, repaired if necessary. Raises `UpstreamMalformed`."""
    has_calls = any(isinstance(part, ToolCall) for choice in response.choices for part in choice.parts)
    return checked_answer(response, conversation.output, conversation.tool_names() if has_calls else ())


def checked_answer(response: Response, output: OutputFormat | None, used_ids: Iterable[str] = ()) -> Response:
    """The same for an answer that must have this format, and whose calls must not have one of these ids."""
    ids = {_id_key(used) for used in used_ids}
    if not response.choices:
        raise errors.UpstreamMalformed("The upstream's response has no choices.")
    try:
        return structs.replace(response, choices=[_choice(choice, output, ids) for choice in response.choices])
    except errors.UpstreamMalformed as error:
        error.usage = response.usage
        raise


def _choice(choice: Choice, output: OutputFormat | None, ids: set[str]) -> Choice:
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    stop = choice.stop or Stop(reason="tool_calls" if calls else "stop")
    if stop.reason in _FAILED:
        raise _failed_answer(stop)
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    _check_repetition(choice, stop)
    if stop.reason in _CUT_OFF:
        return structs.replace(choice, stop=stop)
    for call in calls:
        _check_call(call)
    if not calls:
        check_output(text, output)
        if not any(isinstance(part, Foreign) for part in choice.parts):
            stop = _stop_without_calls(stop)
        return choice if choice.stop is stop else structs.replace(choice, stop=stop)
    return structs.replace(choice, parts=[_repaired(part, ids) for part in choice.parts], stop=stop)


def _stop_without_calls(stop: Stop) -> Stop:
    """Return the stop of an answer without tool calls. A client would wait for those that the upstream announced."""
    return structs.replace(stop, reason="stop") if stop.reason == "tool_calls" else stop


def check_endings(response: Response) -> None:
    """Raise `UpstreamMalformed` if a choice repeats itself without end."""
    for choice in response.choices:
        _check_repetition(choice, choice.stop)


def _check_repetition(choice: Choice, stop: Stop | None) -> None:
    text, reasoning, arguments = [], [], []
    for part in choice.parts:
        if isinstance(part, Text):
            text.append(part.text)
        elif isinstance(part, Reasoning):
            reasoning.append(part.text)
        elif isinstance(part, ToolCall):
            arguments.append(part.arguments)
    is_at_limit = stop is not None and stop.reason in _LIMIT_REACHED
    for whole in ("".join(text), "".join(reasoning), *arguments):
        if len(whole) >= MIN_REPETITION_CHARS:
            check_text(whole, is_at_limit=is_at_limit)


def _failed_answer(stop: Stop) -> errors.UpstreamMalformed:
    reason = (stop.message or stop.raw)[:300]
    problem = "The model stopped before its answer was complete"
    kind = errors.UpstreamMalformed if stop.raw in FAILED_FINISHES else errors.UpstreamOutputInvalid
    return kind(errors.as_sentence(f"{problem}: {reason}" if reason else problem))


def _repaired(part: Part, ids: set[str]) -> Part:
    """Return the part. A tool call gets a unique id, and an object as its arguments."""
    if not isinstance(part, ToolCall):
        return part
    if part.kind == "function" and are_no_arguments(part.arguments):
        part = structs.replace(part, arguments="{}")
    if (key := _id_key(part.id)) in ids:
        return structs.replace(part, id=new_id("call_"))
    ids.add(key)
    return part


def _id_key(call_id: str) -> str:
    """Return what is the same for ids between which a dialect with a small alphabet cannot distinguish."""
    return _ID_PUNCTUATION.sub("_", call_id)


def _check_call(call: ToolCall) -> None:
    if call.kind == "function" and not (is_json_object(call.arguments) or are_no_arguments(call.arguments)):
        raise errors.UpstreamOutputInvalid(
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
        raise errors.UpstreamOutputInvalid(
            "The model's answer is not valid JSON, which the client asked for."
        ) from None
    if output.schema is None or is_expensive(output.schema):
        return
    jsonschema_rs = importlib.import_module("jsonschema_rs")  # 3 MB, which only structured output needs
    try:
        validator = jsonschema_rs.validator_for(output.schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return  # The validator does not support this schema. The upstream has accepted it.
    problem = next(iter(validator.iter_errors(value)), None)
    if problem is not None:
        raise errors.UpstreamOutputInvalid(
            "The model's answer does not match the schema that the client asked for: "
            + errors.as_sentence(problem.message[:300])
        )


_NO_CALLS: Final[dict[int, list[str]]] = {}
_NO_TAILS: Final[dict[int, TextTail]] = {}


class RepetitionGuard(AnswerCounter):
    """Checks a stream for endless repetition, and for what its base class checks. It stores a bounded part of the text.

    The answer is not one that the client relies on to have a format.
    """

    __slots__ = ("_argument_tails", "_tails")

    def __init__(self, limits: AnswerLimits = DEFAULT_ANSWER_LIMITS) -> None:
        super().__init__(limits)
        self._tails: dict[int, TextTail] = {}
        """By choice. The reasoning of choice n is ~n."""
        self._argument_tails: dict[int, dict[int, TextTail]] = {}
        """The arguments of tool calls, by choice and part."""

    def watch(self, events: Iterable[Event]) -> None:
        """Raise `UpstreamMalformed` for endless repetition, and for an answer that exceeds a limit."""
        tails = self._tails
        for event in events:
            if event.__class__ is TextDelta and event.part <= self._max_part:
                tail = tails.get(event.choice) or self._tail(event.choice)
                tail.pieces.append(event.text)
                tail.unchecked_chars += len(event.text)
                if tail.unchecked_chars >= MIN_REPETITION_CHARS:
                    tail.check()
                continue
            self._count(event)
            if isinstance(event, ReasoningDelta):
                self._tail(~event.choice).add(event.text)
            elif isinstance(event, ArgumentsDelta):
                self._watch_arguments(event)
            elif isinstance(event, ChoiceFinished):
                self._check_end(event)

    @property
    def watched_chars(self) -> int:
        """How many characters of text, reasoning and arguments it has seen."""
        tails = [*self._tails.values(), *[tail for each in self._argument_tails.values() for tail in each.values()]]
        return sum([tail.checked_chars + tail.unchecked_chars for tail in tails])

    @property
    def late_chars(self) -> int:
        """The size of what is processed at once at the end, if that takes long; otherwise 0."""
        return 0

    def _tail(self, key: int) -> TextTail:
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = TextTail()
        return tail

    def _watch_arguments(self, event: ArgumentsDelta) -> None:
        tails = self._argument_tails.setdefault(event.choice, {})
        tail = tails.get(event.part)
        if tail is None:
            tail = tails[event.part] = TextTail()
        tail.add(event.text)

    def _check_end(self, event: ChoiceFinished) -> None:
        arguments = self._argument_tails.pop(event.choice, _NO_TAILS)
        if event.stop.reason in _LIMIT_REACHED:
            tails = [self._tails[key] for key in (event.choice, ~event.choice) if key in self._tails]
            for tail in (*tails, *arguments.values()):
                tail.check_end()


class StreamGuard(RepetitionGuard):
    """Checks a stream for what `validate_answer` rejects in a complete answer.

    Nothing is held back for it: only the end of the stream shows whether the answer has the requested format.
    """

    __slots__ = (
        "_arguments",
        "_called",
        "_chars",
        "_foreign",
        "_history",
        "_ids",
        "_output",
        "_outputs",
        "held_chars",
        "unusual_calls",
    )

    def __init__(
        self,
        limits: AnswerLimits = DEFAULT_ANSWER_LIMITS,
        output: OutputFormat | None = None,
        history: Conversation | None = None,
    ) -> None:
        """`history`: the request, whose ids of tool calls are not used again."""
        super().__init__(limits)
        self._history = history
        self._ids: set[str] = set()
        self._arguments: dict[int, dict[int, list[str]]] = {}
        """The arguments of functions, by choice and part."""
        self._called: set[int] = set()
        """The choices that have tool calls. Their text need not have a format."""
        self._foreign: set[int] = set()
        """The choices with parts of the upstream's own dialect, which may be calls."""
        self._output = None if output is None or output.kind == "text" else output
        self._outputs: dict[int, list[str]] = {}
        """The text of each choice, if the client asked for a format."""
        self._chars = 0
        self.held_chars = 0
        """The size of what is processed at once at the end: arguments of tool calls, logprobs, JSON to be checked."""
        self.unusual_calls: set[tuple[int, int]] = set()
        """The choice and part of function calls whose arguments do not begin with a brace."""

    def watch(self, events: Iterable[Event]) -> None:
        """Raise `UpstreamMalformed` for endless repetition, for tool arguments that are not a JSON object, for an
        answer that does not have the requested format, and for one that exceeds a limit.
        """
        for event in events:
            if event.__class__ is TextDelta and event.part <= self._max_part:
                self._watch_text(event)
                continue
            self._count(event)
            match event:
                case ToolCallStarted():
                    self._called.add(event.choice)
                    if event.kind == "function":
                        self._arguments.setdefault(event.choice, {})[event.part] = []
                case ArgumentsDelta():
                    self.held_chars += len(event.text)
                    self._add_chars(len(event.text))
                    self._add_arguments(event)
                    self._watch_arguments(event)
                case ReasoningDelta():
                    self._add_chars(len(event.text))
                    self._tail(~event.choice).add(event.text)
                case RefusalDelta():
                    self._add_chars(len(event.text))
                case ChoiceFinished():
                    self._finish(event)
                case WholePart() if isinstance(event.value, Foreign):
                    self._foreign.add(event.choice)
                case StreamEnded():  # There is text left if the upstream has left out a finish reason.
                    for choice in tuple(self._outputs):
                        self._check_format(ChoiceFinished(stop=Stop(reason="stop"), choice=choice))
                case _:
                    pass

    @property
    def late_chars(self) -> int:
        return self.held_chars if self.held_chars > _MAX_QUICK_CHARS else 0

    def _add_arguments(self, event: ArgumentsDelta) -> None:
        pieces = self._arguments.get(event.choice, _NO_CALLS).get(event.part)
        if pieces is not None and event.text:
            if not pieces and event.text[0] != "{":
                self.unusual_calls.add((event.choice, event.part))
            pieces.append(event.text)

    def with_unique_id(self, event: Event) -> Event:
        """Return the event, with a new id if it starts a tool call whose id is already in use."""
        if isinstance(event, ToolCallStarted):
            if self._history is not None:
                self._ids.update(_id_key(used) for used in self._history.tool_names())
                self._history = None
            if (key := _id_key(event.id)) in self._ids:
                return structs.replace(event, id=new_id("call_"))
            self._ids.add(key)
        return event

    def with_calls_or_stop(self, event: Event) -> Event:
        """Return the event. A choice without tool calls does not finish with them."""
        if isinstance(event, ChoiceFinished) and event.choice not in self._called | self._foreign:
            stop = _stop_without_calls(event.stop)
            return event if stop is event.stop else structs.replace(event, stop=stop)
        return event

    def _add_chars(self, count: int) -> None:
        self._chars += count
        if self._chars > self._limits.chars:
            raise too_many_chars(self._limits)

    def _watch_text(self, event: TextDelta) -> None:
        if event.logprobs is not None:
            self.held_chars += len(event.logprobs) * _LOGPROB_CHARS
        if self._output is not None:
            self.held_chars += len(event.text)
            self._outputs.setdefault(event.choice, []).append(event.text)
        tail = self._tails.get(event.choice) or self._tail(event.choice)
        tail.pieces.append(event.text)
        tail.unchecked_chars += len(event.text)
        if tail.unchecked_chars >= MIN_REPETITION_CHARS:
            self._add_chars(tail.check())

    def _finish(self, event: ChoiceFinished) -> None:
        if event.stop.reason in _FAILED:
            raise _failed_answer(event.stop)
        self._check_end(event)
        self._check_format(event)

    def _check_format(self, event: ChoiceFinished) -> None:
        """Check the arguments of a choice's tool calls, or its text if it has none."""
        calls = self._arguments.pop(event.choice, _NO_CALLS)
        text = self._outputs.pop(event.choice, [])
        if event.stop.reason in _CUT_OFF:
            return
        for pieces in calls.values():
            _check_call(ToolCall(id="", name="a tool", arguments="".join(pieces)))
        if self._output is not None and event.choice not in self._called:
            check_output("".join(text), self._output)


def guard_for(call: Call, decode: Callable[[Call], Conversation], limits: AnswerLimits) -> StreamGuard | None:
    """Return the guard for a passthrough's stream; None if the client does not rely on the format of the answer."""
    return StreamGuard(limits, expected_output(call, decode)) if relies_on_format(call) else None
