"""What clients are sent while a stream is silent: valid in every dialect, at every place between two events."""

import json
from typing import Any

import pytest

from intellirouter.core import Call, RequestContext
from intellirouter.dialects import SseParser
from tests.support.dialects.standard import ENDPOINTS

TURN = [{"role": "user", "content": "hi"}]
STREAMS: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "stream": True, "messages": TURN},
    "openai_responses": {"model": "m", "stream": True, "input": "hi"},
    "openai_completions": {"model": "m", "stream": True, "prompt": "hi"},
    "anthropic_messages": {"model": "m", "stream": True, "max_tokens": 9, "messages": TURN},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
    "ollama_chat": {"model": "m", "messages": TURN},
    "ollama_generate": {"model": "m", "prompt": "hi"},
    "openai_images": {"model": "m", "stream": True, "prompt": "hi"},
    "openai_speech": {"model": "m", "input": "hi", "voice": "v", "stream_format": "audio"},
}


def call_of(name: str, query: str = "alt=sse") -> Call:
    body = json.dumps(STREAMS[name]).encode()
    return ENDPOINTS[name].decode_request(body, RequestContext(model="m", is_stream=True, query=query))


def ping_of(name: str, query: str = "alt=sse", *, has_content: bool = True) -> bytes:
    return ENDPOINTS[name].keep_alive.ping(call_of(name, query), has_content)


def test_every_endpoint_with_streams_is_covered() -> None:
    missing = {name for name, each in ENDPOINTS.items() if each.chat is not None} - set(STREAMS)
    assert not missing


@pytest.mark.parametrize("has_content", [False, True])
@pytest.mark.parametrize(
    "name", ["openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "gemini", "openai_images"]
)
def test_ping_in_an_event_stream_is_no_event_of_the_answer(name: str, *, has_content: bool) -> None:
    ping = ping_of(name, has_content=has_content)
    parser = SseParser()
    events = [each.data for each in parser.feed(b"data: 1\n\n" + ping + ping + b"data: 2\n\n")]
    assert [data for data in events if json.loads(data) != {"type": "ping"}] == ["1", "2"]


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", "openai_completions", "openai_images"])
def test_openai_clients_get_comments(name: str) -> None:
    assert ping_of(name, has_content=False) == ping_of(name) == b": ping\n\n"


def test_anthropic_clients_get_pings_after_message_start_only() -> None:
    assert ping_of("anthropic_messages") == b'event: ping\ndata: {"type": "ping"}\n\n'
    assert ping_of("anthropic_messages", has_content=False) == b": ping\n\n"


def test_gemini_clients_get_blank_lines_in_both_formats() -> None:
    assert ping_of("gemini").strip() == b""
    ping = ping_of("gemini", query="")
    assert json.loads(ping + b"[{}" + ping + b",\r\n" + ping + b"{}" + ping + b"]") == [{}, {}]


@pytest.mark.parametrize(("name", "text"), [("ollama_chat", "message"), ("ollama_generate", "response")])
@pytest.mark.parametrize("has_content", [False, True])
def test_ollama_clients_get_lines_without_text(name: str, text: str, *, has_content: bool) -> None:
    ping = ping_of(name, has_content=has_content)
    assert ping.endswith(b"}\n")
    line = json.loads(ping)
    assert (line["model"], line["done"]) == ("m", False)
    assert line[text] in ("", {"role": "assistant", "content": ""})
    assert line["created_at"].endswith("Z")


def test_audio_is_not_pinged() -> None:
    assert ping_of("openai_speech") == b""
