"""Realtime sessions: the attempts, how sessions end, what each side receives, and what is recorded."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.catalog import HealthBoard, ResolvedModel
from intellirouter.core import (
    SYSTEM_CLOCK,
    Clock,
    Decision,
    Deployment,
    FrameSocket,
    OffLoop,
    RequestContext,
    Secret,
    SocketClosed,
    SocketRefusal,
    Timeouts,
    UpstreamAddress,
    UpstreamRequest,
    Usage,
    errors,
)
from intellirouter.gateway.decision_headers import decision_headers
from intellirouter.governance import Identity
from intellirouter.pipeline import Attempts, Decided, Exchange
from intellirouter.pipeline.sessions import SessionExecutor
from intellirouter.resilience import Backoff
from intellirouter.testing import FakeClock
from tests.support.dialects.standard import ENDPOINTS

ENDPOINT = ENDPOINTS["openai_realtime"]
CREATED = '{"type":"session.created","session":{"model":"up"}}'
DONE = '{"type":"response.done","response":{"usage":{"input_tokens":10,"output_tokens":5}}}'
REFUSES = '{"type":"error","error":{"code":"insufficient_quota","message":"no credit"}}'


class End:
    """One end of a socket in memory. `incoming` is what `receive` returns or raises; `sent` is what was sent."""

    def __init__(self, *incoming: str | bytes | Exception) -> None:
        self.incoming: asyncio.Queue[str | bytes | Exception] = asyncio.Queue()
        for each in incoming:
            self.incoming.put_nowait(each)
        self.sent: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self.refuses_sends: SocketClosed | None = None
        self.has_begun = False
        self.is_stopping = asyncio.Event()
        self.headers: dict[bytes, bytes] = {}

    async def receive(self) -> str | bytes:
        message = await self.incoming.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: str | bytes) -> None:
        if self.refuses_sends is not None:
            raise self.refuses_sends
        self.sent.append(message)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = self.closed or (code, reason)

    async def begin(self, exchange: Exchange) -> None:
        if self.refuses_sends is not None:
            raise self.refuses_sends
        self.has_begun = True
        self.headers = dict(decision_headers(exchange))

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        raise AssertionError


class Dialer:
    """Returns the next of these results for each connection."""

    def __init__(self, *answers: FrameSocket | SocketRefusal | errors.GatewayError) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, UpstreamRequest]] = []

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        self.requests.append((deployment.name, request))
        answer = self.answers.pop(0)
        if isinstance(answer, errors.GatewayError):
            raise answer
        return answer


def build_exchange(
    *names: str, clock: Clock = SYSTEM_CLOCK, credentials: tuple[Secret, ...] = ()
) -> tuple[Exchange, Decided]:
    members = {
        name: Deployment(
            name=name,
            provider="p",
            vendor="v",
            upstream_model="up",
            address=UpstreamAddress(base_url="http://u.test"),
            credentials=credentials,
            timeouts=Timeouts(connect_s=1, first_token_s=1),
        )
        for name in names
    }
    exchange = Exchange("req_1", "/v1/realtime", ENDPOINT, started_s=clock.monotonic_s(), started_us=0)
    exchange.identity = Identity("t", None)
    exchange.call = ENDPOINT.decode_request(b"", RequestContext(model="voice"))
    resolved = ResolvedModel(
        model="voice",
        kind="model",
        strategy="priority",
        pool=tuple(members.values()),
        retries=0,
        request_timeout_s=600.0,
        by_name=members,
    )
    exchange.decision = Decision("voice", "priority", "first", tuple(names), len(names), ())
    return exchange, Decided(exchange.call, resolved, exchange.decision)


class Stage:
    """The executor with its dependencies, and what it has settled."""

    def __init__(self, *answers: Any, idle_s: float = 60.0, max_s: float = 60.0, clock: Clock = SYSTEM_CLOCK) -> None:
        self.dialer = Dialer(*answers)
        self.board = HealthBoard()
        self.settled: list[tuple[Usage | None, bool, str]] = []
        self.client = End()
        self.executor = SessionExecutor(
            upstream=self.dialer,
            attempts=Attempts(board=self.board, backoff=Backoff(0.001, 0.001), clock=clock, rng=random.Random(1)),
            off_loop=OffLoop(),
            settle=lambda exchange: self.settled.append(
                (exchange.usage, self.client.closed is None, exchange.attempts[-1].outcome)
            ),
            idle_s=idle_s,
            max_s=max_s,
        )

    async def run(self, request: tuple[Exchange, Decided]) -> Exchange:
        async with asyncio.timeout(5):
            await self.executor.run(*request, self.client)
        return request[0]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_messages_are_relayed_until_the_client_closes() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    stage.client.incoming.put_nowait('{"type":"response.create"}')
    running = asyncio.ensure_future(stage.run(build_exchange("a")))
    await until(lambda: upstream.sent)
    upstream.incoming.put_nowait(DONE)
    upstream.incoming.put_nowait(b"\x01")
    await until(lambda: len(stage.client.sent) == 3)
    stage.client.incoming.put_nowait(SocketClosed(1000, "bye"))
    exchange = await running
    assert upstream.sent == ['{"type":"response.create"}']
    assert json.loads(stage.client.sent[0])["session"]["model"] == "up"
    assert stage.client.sent[1:] == [DONE, b"\x01"]
    assert upstream.closed == (1000, "")
    assert exchange.status == 101
    assert exchange.finish_reason == "client_closed"
    assert exchange.usage == Usage(input_tokens=10, output_tokens=5)
    assert [each.outcome for each in exchange.attempts] == ["ok"]
    assert stage.board.of("a").in_flight == 0
    assert stage.client.headers[b"x-intellirouter-deployment"] == b"a"
    assert stage.client.closed is None, "the client has closed its socket itself"
    [(name, request)] = stage.dialer.requests
    assert (name, request.path) == ("a", "/realtime?model=up")


async def test_time_to_the_first_message_is_recorded_but_not_the_duration_as_latency() -> None:
    clock = FakeClock()
    upstream = End(CREATED)
    stage = Stage(upstream, clock=clock)
    request = build_exchange("a", clock=clock)
    clock.advance(0.25)
    running = asyncio.ensure_future(stage.run(request))
    await until(lambda: stage.client.has_begun)
    clock.advance(30.0)
    stage.client.incoming.put_nowait(SocketClosed(1000))
    exchange = await running
    assert (exchange.first_token_ms, exchange.attempts[0].first_byte_ms) == (250.0, 250.0)
    assert exchange.attempts[0].ended_ms == 30_250.0
    assert stage.board.of("a").latency_ms == 0.0, "the upstream accepted at once"


@pytest.mark.parametrize("code", [1000, 1001, 1005])
async def test_normal_close_of_the_upstream_is_a_success(code: int) -> None:
    upstream = End(CREATED, DONE, SocketClosed(code, "done"))
    stage = Stage(upstream)
    exchange = await stage.run(build_exchange("a"))
    assert stage.client.sent[1:] == [DONE]
    assert stage.client.closed == (1000 if code == 1005 else code, "done")
    assert (exchange.error, exchange.finish_reason) == (None, "upstream_closed")
    assert stage.settled[0] == (Usage(input_tokens=10, output_tokens=5), True, "ok"), (
        "settled before the client's socket is closed"
    )


@pytest.mark.parametrize(
    ("code", "reason", "sent", "described"),
    [
        (1006, "", 1011, "the connection broke"),
        (1006, "reset by the peer.", 1011, "reset by the peer"),
        (1011, "", 1011, "close code 1011"),
        (4000, "no model X.", 4000, "close code 4000, no model X"),
        (1015, "", 1011, "close code 1015"),
    ],
)
async def test_abnormal_close_of_the_upstream_is_a_failure(
    code: int, reason: str, sent: int, described: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "intellirouter.pipeline.sessions")
    upstream = End(CREATED, SocketClosed(code, reason))
    stage = Stage(upstream)
    exchange = await stage.run(build_exchange("a"))
    event = json.loads(stage.client.sent[-1])
    assert (event["type"], event["error"]["code"]) == ("error", "upstream_disconnected")
    assert stage.client.closed == (sent, reason)
    assert upstream.closed == (1000, ""), "the upstream's close code is not sent back to it"
    assert isinstance(exchange.error, errors.UpstreamDisconnected)
    assert exchange.error.message == f"a ended the session: {described}."
    assert [each.getMessage() for each in caplog.records] == [f"req_1 upstream_disconnected: {exchange.error.message}"]
    assert exchange.status == 101
    assert exchange.attempts[0].outcome == "upstream_disconnected"
    assert stage.board.of("a").failures == 1


async def test_deployments_are_tried_until_one_accepts() -> None:
    upstream = End(CREATED, SocketClosed(1000))
    stage = Stage(
        errors.UpstreamConnectFailed("a: nobody"),
        SocketRefusal(503, (), b'{"error":{"message":"busy"}}'),
        End(REFUSES),
        End(SocketClosed(4000, "no such model")),
        upstream,
    )
    exchange = await stage.run(build_exchange("a", "b", "c", "d", "e"))
    assert [name for name, _ in stage.dialer.requests] == ["a", "b", "c", "d", "e"]
    assert [each.outcome for each in exchange.attempts] == [
        "upstream_connect_failed", "upstream_unavailable", "insufficient_quota", "upstream_disconnected", "ok",
    ]  # fmt: skip
    assert [each.status for each in exchange.attempts] == [None, 503, 101, 101, 101]
    assert exchange.deployment is not None
    assert exchange.deployment.name == "e"
    assert stage.client.headers[b"x-intellirouter-attempts"] == b"5"


async def test_error_is_raised_if_no_deployment_accepts() -> None:
    refused = End(REFUSES)
    stage = Stage(SocketRefusal(401, (), b"{}"), refused)
    with pytest.raises(errors.AllAttemptsFailed, match="no credit"):
        await stage.run(build_exchange("a", "b"))
    assert not stage.client.has_begun
    assert refused.closed == (1000, ""), "the socket of an upstream that refuses is closed"


async def test_refused_handshake_names_the_deployment_and_when_to_try_again() -> None:
    headers = (("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT"),)
    clock = FakeClock()
    stage = Stage(SocketRefusal(429, headers, b'{"error":{"message":"busy"}}'), clock=clock)
    with pytest.raises(errors.UpstreamRateLimited, match=r"^a is rate limited: busy\.$") as caught:
        await stage.run(build_exchange("a", clock=clock))
    assert caught.value.retry_after_s == 30.0


async def test_refusal_as_first_message_names_the_deployment() -> None:
    refusal = '{"type":"error","error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"busy"}}'
    with pytest.raises(errors.UpstreamRateLimited, match=r"^a is rate limited: busy\.$"):
        await Stage(End(refusal)).run(build_exchange("a"))


async def test_upstream_that_closes_instead_of_a_first_message_is_described() -> None:
    with pytest.raises(errors.UpstreamDisconnected) as caught:
        await Stage(End(SocketClosed(4000, "no such model"))).run(build_exchange("a"))
    assert caught.value.message == "a closed the session at once: close code 4000, no such model."


async def test_rejected_session_is_not_tried_on_another_deployment() -> None:
    stage = Stage(SocketRefusal(400, (), b'{"error":{"message":"bad intent","code":"c","param":"intent"}}'))
    with pytest.raises(errors.UpstreamRejected, match="bad intent"):
        await stage.run(build_exchange("a", "b"))
    assert len(stage.dialer.requests) == 1
    assert stage.board.of("a").failures == 0


async def test_upstream_without_a_first_message_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intellirouter.pipeline.sessions._FIRST_MESSAGE_S", 0.01)
    upstream = End()
    stage = Stage(upstream)
    stage.client.incoming.put_nowait("hello")
    running = asyncio.ensure_future(stage.run(build_exchange("a")))
    await until(lambda: upstream.sent)
    upstream.incoming.put_nowait(SocketClosed(1000))
    assert (await running).error is None


async def test_idle_session_is_closed() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream, idle_s=0.02)
    exchange = await stage.run(build_exchange("a"))
    assert json.loads(stage.client.sent[-1])["error"]["code"] == "session_expired"
    assert stage.client.closed == (1000, "The session was idle for 0.02 s.")
    assert upstream.closed == (1000, "")
    assert (exchange.finish_reason, exchange.error) == ("idle_timeout", None)


async def test_session_is_closed_at_its_time_limit() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream, idle_s=0.05, max_s=0.15)

    async def chatter() -> None:
        while True:
            upstream.incoming.put_nowait("x")
            await asyncio.sleep(0.01)

    talking = asyncio.ensure_future(chatter())
    exchange = await stage.run(build_exchange("a"))
    talking.cancel()
    assert exchange.finish_reason == "session_limit"
    assert stage.client.closed == (1000, "The session has reached the limit of 0.15 s.")
    error = json.loads(stage.client.sent[-1])["error"]
    assert error["code"] == "session_expired"
    assert "The session has reached the limit of 0.15 s." in error["message"]


async def test_silent_session_is_closed_at_its_time_limit() -> None:
    stage = Stage(End(CREATED), max_s=0.02)
    assert (await stage.run(build_exchange("a"))).finish_reason == "session_limit"


@pytest.mark.parametrize(("idle_s", "max_s", "ending"), [(0.01, 60.0, "idle_timeout"), (60.0, 0.01, "session_limit")])
async def test_session_ends_exactly_at_its_limits(idle_s: float, max_s: float, ending: str) -> None:
    clock = FakeClock()
    stage = Stage(End(CREATED), idle_s=idle_s, max_s=max_s, clock=clock)
    asyncio.get_running_loop().call_later(0.002, clock.advance, 0.01)
    assert (await stage.run(build_exchange("a", clock=clock))).finish_reason == ending


async def test_session_is_closed_even_if_the_client_receives_no_error() -> None:
    stage = Stage(End(CREATED), idle_s=0.02)
    running = asyncio.ensure_future(stage.run(build_exchange("a")))
    await until(lambda: stage.client.sent)
    stage.client.refuses_sends = SocketClosed(1006)
    await running
    assert stage.client.closed == (1000, "The session was idle for 0.02 s.")


async def test_stopping_gateway_closes_the_session() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    stage.client.is_stopping.set()
    exchange = await stage.run(build_exchange("a"))
    assert stage.client.closed == (1001, "The gateway is stopping.")
    assert upstream.closed == (1001, "")
    assert exchange.finish_reason == "gateway_stopping"


async def test_client_that_disconnects_before_accept_is_not_a_failure() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    stage.client.refuses_sends = SocketClosed(1006)
    exchange = await stage.run(build_exchange("a"))
    assert (exchange.error, exchange.finish_reason) == (None, "client_closed")
    assert upstream.closed == (1001, "")


async def test_client_that_accepts_no_more_messages_has_ended_the_session() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    running = asyncio.ensure_future(stage.run(build_exchange("a")))
    await until(lambda: stage.client.sent)
    stage.client.refuses_sends = SocketClosed(1006)
    upstream.incoming.put_nowait(DONE)
    exchange = await running
    assert (exchange.error, exchange.finish_reason) == (None, "client_closed")
    assert stage.board.of("a").failures == 0, "a disconnect never counts against the deployment"
    assert (upstream.closed, stage.client.closed) == ((1001, ""), None)


async def test_upstream_that_accepts_no_messages_has_ended_the_session() -> None:
    upstream = End(CREATED)
    upstream.refuses_sends = SocketClosed(1011, "overloaded")
    stage = Stage(upstream)
    stage.client.incoming.put_nowait("hello")
    exchange = await stage.run(build_exchange("a"))
    assert isinstance(exchange.error, errors.UpstreamDisconnected)
    assert exchange.error.message == "a ended the session: close code 1011, overloaded."


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_gateway_bug_in_a_session_is_not_the_fault_of_the_deployment(
    side: str, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    (stage.client if side == "client" else upstream).incoming.put_nowait(ZeroDivisionError())
    request = build_exchange("a")
    with pytest.raises(ZeroDivisionError):
        await stage.run(request)
    assert request[0].attempts[0].outcome == "internal_error"
    assert (stage.board.of("a").failures, stage.board.of("a").in_flight) == (0, 0)
    assert upstream.closed == (1001, "")
    assert caplog.records == [], "the entry logs the error"


async def test_usage_of_a_canceled_session_is_recorded() -> None:
    upstream = End(CREATED, DONE)
    stage = Stage(upstream)
    request = build_exchange("a")
    exchange = request[0]
    running = asyncio.ensure_future(stage.run(request))
    await until(lambda: len(stage.client.sent) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert exchange.usage == Usage(input_tokens=10, output_tokens=5)
    assert upstream.closed == (1001, "")
    assert stage.board.of("a").in_flight == 0
    assert exchange.attempts[0].outcome == "overloaded"


async def test_sessions_without_a_socket_upstream_are_rejected() -> None:
    stage = Stage()
    without = SessionExecutor(
        upstream=None,
        attempts=stage.executor.attempts,
        off_loop=OffLoop(),
        settle=lambda _: None,
        idle_s=1,
        max_s=1,
    )
    with pytest.raises(errors.UnsupportedFeature, match=r"^This gateway does not support realtime sessions\.$"):
        await without.run(*build_exchange("a"), stage.client)


async def test_credential_that_an_upstream_repeats_does_not_reach_the_client() -> None:
    key = "sk-live-0123456789abcdefghij"
    upstream = End(CREATED)
    stage = Stage(upstream)
    upstream.incoming.put_nowait(f'{{"type":"error","error":{{"message":"bad key {key}"}}}}')
    upstream.incoming.put_nowait(SocketClosed(1008, f"key {key} was refused"))
    exchange = await stage.run(build_exchange("a", credentials=(Secret(key),)))
    assert any("bad key ***" in str(each) for each in stage.client.sent)
    assert key not in str(stage.client.sent)
    assert stage.client.closed is not None
    assert key not in stage.client.closed[1]
    assert exchange.error is not None
    assert "key *** was refused" in exchange.error.message
