"""A made-up dialect in one module: the minimum that the package of a new dialect must contain.

A request is `{"model": …, "turns": [[ROLE, TEXT], …], "live": BOOL}` to `/shout` or to `/shout/MODEL!now`, an answer
`{"words": TEXT, "end": REASON, "tokens": [IN, OUT]}`. A stream has one line per word. The
last line is an answer without words.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from intellirouter.core import Call, Clock, Deployment, LossReport, RequestContext, UpstreamRequest, Usage, errors
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    Message,
    Response,
    Role,
    Stop,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    UsageUpdate,
    events_of,
)
from intellirouter.dialects.spec import ChatEndpoint, CountEndpoint, DialectSpec, PathPattern
from intellirouter.dialects.wire.request_validation import decode_body
from intellirouter.dialects.wire.sse import LineSplitter

NAME = "shout"
_ROLES: dict[str, Role] = {"boss": "system", "me": "user", "you": "assistant"}
_NAMES = {role: name for name, role in _ROLES.items()}


class Request(Struct):
    turns: list[tuple[str, str]]
    model: str = ""
    live: bool = False


class Line(Struct, omit_defaults=True):
    words: str = ""
    end: str = ""
    tokens: tuple[int, int] = (0, 0)
    problem: str = ""


class ShoutCall(ConversationCall, kw_only=True):
    source: Request


_request = msgspec.json.Decoder(Request)
_line = msgspec.json.Decoder(Line)


class Errors:
    id_header = None
    models_path = "/v1/models"

    def status(self, error: errors.GatewayError) -> int:
        return error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        return msgspec.json.encode(Line(problem=error.message))

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return self.encode(error) + b"\n"


class Writer:
    """The client's stream."""

    def __init__(self) -> None:
        self._last = Line(end="stop")

    def encode(self, events: Sequence[Event]) -> bytes:
        out = b""
        for event in events:
            match event:
                case TextDelta():
                    out += msgspec.json.encode(Line(words=event.text)) + b"\n"
                case ChoiceFinished():
                    self._last.end = event.stop.reason
                case UsageUpdate(usage=usage) | StreamStarted(usage=Usage() as usage):
                    self._last.tokens = usage.total_input_tokens, usage.total_output_tokens
                case _:
                    pass
        return out

    def end(self) -> bytes:
        return msgspec.json.encode(self._last) + b"\n"

    def fail(self, error: errors.GatewayError) -> bytes:
        return Errors().encode_event(error)


class Client:
    field_names: ClassVar[dict[str, str]] = {"messages": "turns"}

    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall:
        request = decode_body(_request, body)
        return ShoutCall(
            operation="chat",
            model=context.model or request.model,
            body=body,
            dialect=NAME,
            is_stream=request.live or context.is_stream,
            stream_type=b"application/x-shout",
            source=request,
        )

    def decode(self, call: Call) -> Conversation:
        request = decode_body(_request, call.body)
        messages = [Message(role=_ROLES[role], parts=[Text(text=text)]) for role, text in request.turns]
        return Conversation(dialect=NAME, model=call.model, messages=messages, is_stream=call.is_stream)

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        writer = Writer()
        events = [event for event in events_of(response) if not isinstance(event, StreamEnded)]
        words = "".join(event.text for event in events if isinstance(event, TextDelta))
        writer.encode(events)
        return msgspec.json.encode(msgspec.structs.replace(_line.decode(writer.end()), words=words))

    def stream(self, call: Call, losses: LossReport) -> Writer:
        return Writer()

    def encode_count(self, tokens: int, call: Call) -> bytes:
        return msgspec.json.encode(Line(tokens=(tokens, 0)))


class CountClient(Client):
    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall:
        return msgspec.structs.replace(super().decode_request(body, context), operation="count_tokens")


class Reader:
    """The upstream's stream."""

    def __init__(self) -> None:
        self._splitter = LineSplitter()
        self._has_begun = self._is_over = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for text in self._splitter.feed(data).splitlines():
            line = _line.decode(text)
            if line.problem:
                raise errors.UpstreamUnavailable(line.problem)
            if not self._has_begun:
                self._has_begun = True
                events.append(StreamStarted(model="shouter"))
            if line.words:
                events.append(TextDelta(text=line.words))
            if line.end:
                self._is_over = True
                events += [ChoiceFinished(stop=_stop(line)), UsageUpdate(usage=_usage(line)), StreamEnded()]
        return events

    def end(self) -> list[Event]:
        if not self._is_over:
            raise errors.UpstreamMalformed("The stream was cut off.")
        return []


def _stop(line: Line) -> Stop:
    return Stop(reason="length" if line.end == "length" else "stop", raw=line.end)


def _usage(line: Line) -> Usage:
    return Usage(input_tokens=line.tokens[0], output_tokens=line.tokens[1])


class Upstream:
    dialect = NAME

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        turns: list[Any] = []
        for message in conversation.messages:
            for part in message.parts:
                if not isinstance(part, Text):
                    raise errors.UnsupportedFeature("Shouters take text only.", param="messages[].content[]")
                turns.append((_NAMES.get(message.role, "boss"), part.text))
        if conversation.sampling.temperature is not None:
            losses.dropped("temperature")
        request = Request(model=deployment.upstream_model, turns=turns, live=conversation.is_stream)
        return UpstreamRequest(path="/shout", body=msgspec.json.encode(request))

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        body = msgspec.json.decode(call.body) | {"model": deployment.upstream_model}
        return UpstreamRequest(path="/shout", body=msgspec.json.encode(body))

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        line = _line.decode(body)
        choice = Choice(parts=[Text(text=line.words)], stop=_stop(line))
        return Response(model="shouter", choices=[choice], usage=_usage(line), dialect=NAME)

    def stream(self, deployment: Deployment) -> Reader:
        return Reader()

    def splitter(self) -> LineSplitter:
        return LineSplitter()

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return errors.UpstreamUnavailable(_line.decode(body).problem)


SPEC = DialectSpec(
    name=NAME,
    title="Shout",
    errors=Errors(),
    endpoints=(
        ChatEndpoint(
            name="shout", paths=("/shout",), patterns=(PathPattern(("/shout/",), "!now", True),), client=Client()
        ),
        CountEndpoint(name="shout_count", paths=("/shout/count",), client=CountClient()),
    ),
    error_prefixes=("/shout",),
    error_header=b"x-shout",
    chat=Upstream(),
)
