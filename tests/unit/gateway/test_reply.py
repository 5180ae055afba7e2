"""The answer of an exchange on an HTTP connection: streams that begin before their content, after a long silence."""

import json
from collections.abc import Callable
from typing import cast

import pytest

from intellirouter.core import Attempt, Decision, Loss, RequestContext, errors
from intellirouter.gateway import HttpRequest
from intellirouter.gateway.reply import ClientReply
from intellirouter.pipeline import Exchange
from tests.support.dialects.pairs import deployment
from tests.support.dialects.standard import ENDPOINTS
from tests.unit.dialects.test_keep_alive import STREAMS

CHAT_NAMES = sorted(name for name, each in ENDPOINTS.items() if each.chat is not None)


class Client:
    """Implements what a reply uses of `HttpRequest`."""

    def __init__(self) -> None:
        self.heads: list[tuple[int, str]] = []
        self.body = b""
        self.is_ended = False
        self.is_aborted = False
        self.on_silence: Callable[[], None] = lambda: None

    def keep_alive(self, on_silence: Callable[[], None]) -> None:
        self.on_silence = on_silence

    def begin(self, status: int, header_lines: bytes, length: int | None = None) -> None:
        assert length is None
        self.heads.append((status, header_lines.decode()))

    def ping(self, data: bytes) -> None:
        self.body += data

    async def write(self, data: bytes) -> None:
        self.body += data

    async def end(self, data: bytes = b"") -> None:
        self.body += data
        self.is_ended = True

    def abort(self) -> None:
        self.is_aborted = True

    def respond(self, status: int, header_lines: bytes, body: bytes) -> bool:
        self.heads.append((status, header_lines.decode()))
        self.body += body
        self.is_ended = True
        return True


class World:
    def __init__(self, name: str = "openai_chat", query: str = "alt=sse") -> None:
        endpoint = ENDPOINTS[name]
        self.exchange = Exchange("req_1", "/path", endpoint, started_s=0.0, started_us=0)
        context = RequestContext(model="m", is_stream=True, query=query)
        self.exchange.call = endpoint.decode_request(json.dumps(STREAMS[name]).encode(), context)
        self.client = Client()
        self.reply = ClientReply(cast("HttpRequest", self.client), endpoint.errors)
        self.reply.await_stream(self.exchange)

    def decide(self, *losses: Loss) -> None:
        exchange = self.exchange
        exchange.decision = Decision(
            model="m", strategy="priority", candidates=(), order=("b",), pool_size=1, reason="the only one"
        )
        exchange.deployment = deployment("openai_chat", "openai", "gpt", "https://b.test")
        exchange.attempts = [Attempt(deployment="a", kind="first", started_ms=0.0)]
        exchange.losses = losses


async def test_nothing_changes_without_a_silence() -> None:
    world = World()
    world.decide()
    await world.reply.begin(world.exchange, b"text/event-stream")
    await world.reply.write(b"data: 1\n\n")
    assert world.client.body == b"data: 1\n\n"
    assert "x-intellirouter-deployment: " in world.client.heads[0][1]


async def test_head_before_the_content_names_no_deployment() -> None:
    world = World()
    world.exchange.ignored = (Loss("idempotency-key", "dropped"),)
    world.decide(Loss("seed", "dropped"))
    world.client.on_silence()
    world.client.on_silence()
    ((status, head),) = world.client.heads
    assert status == 200
    assert "content-type: text/event-stream" in head
    assert "x-request-id: req_1\r\n" in head
    assert "idempotency-key" in head
    assert "x-intellirouter-deployment" not in head
    assert "seed" not in head
    assert world.client.body == b": ping\n\n" * 2
    assert world.reply.has_begun


@pytest.mark.parametrize("name", ["openai_chat", "anthropic_messages", "openai_responses"])
async def test_decision_headers_follow_as_a_comment(name: str) -> None:
    world = World(name)
    world.client.on_silence()
    world.decide(Loss("seed", "dropped"))
    await world.reply.begin(world.exchange, b"text/event-stream")
    await world.reply.write(b"data: 1\n\n")
    comment = world.client.body.removeprefix(b": ping\n\n").removesuffix(b"data: 1\n\n").decode()
    assert comment.endswith("\n\n")
    lines = comment.removesuffix("\n\n").split("\n")
    assert all(line.startswith(": x-intellirouter-") for line in lines)
    assert any(line.startswith(": x-intellirouter-dropped: seed") for line in lines)
    assert any(line.startswith(": x-intellirouter-deployment: ") for line in lines)
    assert len(world.client.heads) == 1


@pytest.mark.parametrize("name", ["gemini", "ollama_chat"])
async def test_clients_that_do_not_know_comments_get_none(name: str) -> None:
    world = World(name)
    world.client.on_silence()
    before = world.client.body
    world.decide(Loss("seed", "dropped"))
    await world.reply.begin(world.exchange, b"x")
    assert world.client.body == before


async def test_ping_of_the_dialect_changes_with_the_content() -> None:
    world = World("anthropic_messages")
    world.client.on_silence()
    await world.reply.begin(world.exchange, b"text/event-stream")
    await world.reply.write(b"event: message_start\n\n")
    world.client.on_silence()
    assert world.client.body.startswith(b": ping\n\n")
    assert world.client.body.endswith(b'event: message_start\n\nevent: ping\ndata: {"type": "ping"}\n\n')


@pytest.mark.parametrize("name", CHAT_NAMES)
async def test_failure_of_all_attempts_is_one_event_of_the_dialect(name: str) -> None:
    world = World(name)
    world.client.on_silence()
    pinged = world.client.body
    await world.reply.fail(errors.UpstreamTimeout("No deployment answered."), world.exchange)
    assert [status for status, _ in world.client.heads] == [200]
    assert world.client.is_ended
    event = world.client.body.removeprefix(pinged)
    assert event.count(b"No deployment answered.") == 1


async def test_failure_in_a_json_array_is_valid_json() -> None:
    world = World("gemini", query="")
    world.client.on_silence()
    await world.reply.fail(errors.UpstreamTimeout("No deployment answered."), world.exchange)
    ((document),) = json.loads(world.client.body)
    assert document["error"]["status"] == "DEADLINE_EXCEEDED"


async def test_failure_without_a_ping_has_its_own_status() -> None:
    world = World()
    await world.reply.fail(errors.UpstreamTimeout("No deployment answered."), world.exchange)
    assert [status for status, _ in world.client.heads] == [504]


async def test_complete_answer_ends_a_stream_that_has_begun() -> None:
    world = World("ollama_chat")
    world.client.on_silence()
    pinged = world.client.body
    await world.reply.complete(200, world.exchange, b'{"done":true}', b"application/json")
    assert world.client.body.removeprefix(pinged) == b'{"done":true}\n'
    assert len(world.client.heads) == 1


async def test_audio_stream_does_not_begin_early() -> None:
    world = World("openai_speech")
    world.client.on_silence()
    assert not world.client.heads
    assert not world.reply.has_begun


async def test_failure_without_an_event_leaves_the_answer_incomplete() -> None:
    """Audio has no error events. A regular end would look like that of a complete answer."""
    world = World("openai_speech")
    await world.reply.begin(world.exchange, b"audio/mpeg")
    world.exchange.error_event = b""
    await world.reply.fail(errors.UpstreamDisconnected("It broke off."), world.exchange)
    assert world.client.is_aborted
    assert not world.client.is_ended
