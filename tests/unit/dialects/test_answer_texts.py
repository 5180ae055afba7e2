"""The text of an answer in each client dialect, complete and streamed."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, RequestContext
from intellirouter.dialects import answer_text
from intellirouter.dialects.ir import Choice, Reasoning, Response, Stop, Text, ToolCall, events_of
from tests.support.dialects.standard import ENDPOINTS, STANDARD_DIALECTS
from tests.support.pipeline import deployment

TEXT = "Santiago – the capital."
TURNS = [{"role": "user", "content": "What?"}]
REQUESTS: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": TURNS},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": TURNS},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "What?"}]}]},
    "ollama_chat": {"model": "m", "messages": TURNS},
    "openai_responses": {"model": "m", "input": "What?", "store": False},
}
BOTH = pytest.mark.parametrize("stream", [False, True])


def read_back(endpoint: str, response: Response, *, stream: bool) -> str | None:
    client = ENDPOINTS[endpoint].chat
    assert client is not None
    request = {**REQUESTS[endpoint], **({} if endpoint == "gemini" else {"stream": stream})}
    context = RequestContext(model="m", is_stream=stream, query="alt=sse") if endpoint == "gemini" else None
    call = ENDPOINTS[endpoint].decode_request(json.dumps(request).encode(), context or RequestContext())
    if stream:
        encoder = client.stream(call, LossReport())
        events = list(events_of(response))
        body = encoder.encode(events[:-1] if type(events[-1]).__name__ == "StreamEnded" else events) + encoder.end()
    else:
        body = client.encode(response, call, LossReport())
    return answer_text(STANDARD_DIALECTS.upstreams[call.dialect], body, deployment("a"), is_stream=stream)


def answered(*parts: Any) -> Response:
    return Response(id="r", model="m", choices=[Choice(parts=list(parts), stop=Stop(reason="stop"))])


@BOTH
@pytest.mark.parametrize("endpoint", REQUESTS)
def test_text_of_every_dialect(endpoint: str, stream: bool) -> None:
    assert read_back(endpoint, answered(Text(text=TEXT)), stream=stream) == TEXT


@BOTH
def test_reasoning_is_left_out(stream: bool) -> None:
    response = answered(Reasoning(text="Chile …"), Text(text=TEXT))
    assert read_back("anthropic_messages", response, stream=stream) == TEXT


@BOTH
def test_tool_calls_have_no_text(stream: bool) -> None:
    response = answered(Text(text=TEXT), ToolCall(id="c", name="f", arguments="{}"))
    assert read_back("openai_chat", response, stream=stream) is None


@BOTH
def test_unreadable_answer_has_no_text(stream: bool) -> None:
    codec = STANDARD_DIALECTS.upstreams["openai_chat"]
    assert answer_text(codec, b"data: {", deployment("a"), is_stream=stream) is None
