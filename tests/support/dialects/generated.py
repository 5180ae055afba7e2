"""Generated conversations, responses and streams, for property tests."""

import json
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import Usage
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    Conversation,
    Event,
    FunctionTool,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningConfig,
    ReasoningDelta,
    Refusal,
    Response,
    Sampling,
    Source,
    Stop,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolChoice,
    ToolResult,
    events_of,
)

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=12)
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
NAMES = st.sampled_from(["get_weather", "look-up", "f", "Add2"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXTS,
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["city", "n", "größe"]), VALUES, max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
COUNTS = st.integers(1, 10**6)
USAGES = st.builds(Usage, input_tokens=COUNTS, output_tokens=COUNTS, cache_read_tokens=COUNTS, reasoning_tokens=COUNTS)


@st.composite
def answers(draw: st.DrawFn) -> Response:
    """Return a response with reasoning, text and calls."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Reasoning(text=draw(TEXTS)))
    if draw(st.booleans()):
        parts.append(Text(text=draw(TEXTS)))
    names = draw(st.lists(NAMES, max_size=3))
    parts += [ToolCall(id=f"call_{at}", name=name, arguments=draw(ARGUMENTS)) for at, name in enumerate(names)]
    reason: Any = "tool_calls" if names else draw(st.sampled_from(["stop", "length"]))
    if not names and draw(st.integers(0, 9)) == 0:
        parts.append(Refusal(text=draw(TEXTS)))
        reason = "refusal"
    choice = Choice(parts=parts or [Text(text=draw(TEXTS))], stop=Stop(reason=reason))
    return Response(id="r_1", model="m", created_s=1_760_000_000, choices=[choice], usage=draw(USAGES), dialect="x")


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Return the events of a response, with texts and arguments in pieces, and interleaved calls."""
    response = draw(answers())
    head: list[Event] = []
    queues: dict[int, list[Event]] = {}
    tail: list[Event] = []
    for event in events_of(response):
        if isinstance(event, StreamStarted):
            head.append(event)
        elif (part := getattr(event, "part", None)) is not None:
            queues.setdefault(part, []).extend(_pieces(draw, event))
        else:
            tail.append(event)
    return [*head, *_interleaved(draw, response, queues), *tail]


def _pieces(draw: st.DrawFn, event: Any) -> list[Event]:
    if not isinstance(event, TextDelta | ReasoningDelta | ArgumentsDelta) or len(event.text) < 2:
        return [event]
    cut = draw(st.integers(0, len(event.text)))
    return [structs.replace(event, text=event.text[:cut]), structs.replace(event, text=event.text[cut:])]


def _interleaved(draw: st.DrawFn, response: Response, queues: dict[int, list[Event]]) -> list[Event]:
    calls = {at for at, part in enumerate(response.choices[0].parts) if isinstance(part, ToolCall)}
    out = [event for part in sorted(queues.keys() - calls) for event in queues[part]]
    out += [queues[part].pop(0) for part in sorted(calls)]
    while waiting := [part for part in sorted(calls) if queues[part]]:
        out.append(queues[draw(st.sampled_from(waiting))].pop(0))
    return out


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Return a conversation with turns in a valid order, in which each call has a result."""
    messages = [Message(role="system", parts=[Text(text=draw(TEXTS))])] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(0, 2))):
        messages.append(Message(role="user", parts=_user_parts(draw)))
        messages += _assistant_turn(draw, turn)
    messages.append(Message(role="user", parts=_user_parts(draw)))
    conversation = Conversation(dialect="generated", model="m", messages=messages, is_stream=draw(st.booleans()))
    conversation.tools = [
        FunctionTool(
            name=name, description=draw(TEXTS), parameters={"type": "object", "properties": {"n": {"type": "string"}}}
        )
        for name in ("get_weather", "look-up", "f", "Add2")
    ]
    conversation.tool_choice = draw(st.none() | st.sampled_from(["auto", "none", "required", "named"]).map(_choice))
    conversation.output = draw(st.none() | st.just(OutputFormat(kind="json_object")))
    conversation.reasoning = draw(
        st.none() | st.sampled_from(["low", "high"]).map(lambda effort: ReasoningConfig(effort=effort))
    )
    conversation.sampling = Sampling(
        max_output_tokens=draw(st.none() | st.integers(1, 9_999)),
        temperature=draw(st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.5])),
        top_p=draw(st.none() | st.sampled_from([0.1, 0.9])),
        top_k=draw(st.none() | st.integers(1, 99)),
        seed=draw(st.none() | st.integers(0, 99)),
        stop=draw(st.lists(WORDS, max_size=3, unique=True)),
        presence_penalty=draw(st.none() | st.sampled_from([-1.0, 0.5])),
    )
    conversation.user = draw(st.sampled_from(["", "u-1"]))
    return conversation


def _choice(mode: Any) -> ToolChoice:
    return ToolChoice(mode=mode, name="f" if mode == "named" else "")


def _user_parts(draw: st.DrawFn) -> list[Part]:
    parts: list[Part] = [Text(text=draw(TEXTS))]
    if draw(st.integers(0, 3)) == 0:
        parts.append(Media(kind="image", source=Source(data=PNG, media_type="image/png")))
    return parts


def _assistant_turn(draw: st.DrawFn, turn: int) -> list[Message]:
    names = draw(st.lists(NAMES, max_size=2))
    calls: list[Part] = [
        ToolCall(id=f"call_{turn}_{at}", name=name, arguments=draw(ARGUMENTS)) for at, name in enumerate(names)
    ]
    texts: list[Part] = [Text(text=draw(TEXTS))] if draw(st.booleans()) or not calls else []
    results: list[Part] = [
        ToolResult(call_id=f"call_{turn}_{at}", parts=[Text(text=draw(TEXTS))], is_error=draw(st.booleans()))
        for at in range(len(names))
    ]
    answer = Message(role="assistant", parts=[*texts, *calls])
    return [answer, Message(role="tool", parts=results)] if results else [answer]
