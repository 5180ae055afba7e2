"""`/v1/ws`: many chat requests over one socket, each of them a separate exchange."""

import asyncio
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, MAX_BODY_BYTES
from tests.support.gateway.process import GatewayProcess, until
from tests.support.gateway.websocket_client import PATIENCE_S, Frames, open_socket, rejected_handshake

WS = "/v1/ws"
MAX_IN_FLIGHT = 64


async def eventually(look: Callable[[], Any], what: str) -> Any:
    """Do the same as `until` without blocking the event loop."""
    return await asyncio.to_thread(until, look, what)


def arrived(vendor: MockVendor, model: str) -> list[dict[str, Any]]:
    return [seen for seen in vendor.requests() if seen["model"] == model]


async def test_complete_answer_is_recorded(gateway: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
        frames = Frames(link)
        await frames.create("one", "priced")
        done = await frames.last("one")
    assert done["type"] == "chat.completed"
    assert done["response"]["object"] == "chat.completion"
    assert done["response"]["choices"][0]["message"]["content"].endswith("hello")
    assert len(frames.received["one"]) == 1
    headers = done["headers"]
    assert headers["x-intellirouter-deployment"] == "priced"
    record = gateway.record(headers["x-request-id"])
    assert (record["endpoint"], record["key_name"], record["status"]) == (WS, "ann", 200)
    assert record["usage"]["output_tokens"] == done["response"]["usage"]["completion_tokens"]
    assert float(headers["x-intellirouter-cost-usd"]) == pytest.approx(record["cost_microusd"] / 1e6)


async def test_stream_consists_of_chunks_and_ends_with_the_cost(gateway: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
        frames = Frames(link)
        await frames.create("s", "priced", "one two three", stream=True)
        done = await frames.last("s")
    kinds = [frame["type"] for frame in frames.received["s"]]
    assert kinds[0] == "chat.started"
    assert set(kinds[1:-1]) == {"chat.chunk"}
    assert frames.text("s").endswith("one two three")
    assert "response" not in done
    assert "x-intellirouter-cost-usd" in done["headers"]
    assert gateway.record(done["headers"]["x-request-id"])["is_stream"]


async def test_parallel_requests_are_interleaved_and_not_mixed_up(gateway: GatewayProcess, vendor: MockVendor) -> None:
    names = [f"many-{number}" for number in range(40)]
    vendor.fault("slow_drip", match={"model": "many-*"}, delay_s=0.002)
    try:
        async with asyncio.timeout(30), open_socket(gateway, WS) as link:
            frames = Frames(link)
            for name in names:
                await frames.create(name, f"mock/{name}", f"words of {name}", stream=len(name) % 2 == 0)
            for name in names:
                assert (await frames.last(name))["type"] == "chat.completed"
    finally:
        vendor.clear()
    for name in names:
        done = frames.received[name][-1]
        text = frames.text(name) or done["response"]["choices"][0]["message"]["content"]
        assert text.endswith(f"words of {name}")
    ids = {frames.received[name][-1]["headers"]["x-request-id"] for name in names}
    assert len(ids) == len(names)


async def test_canceled_request_is_canceled_at_the_upstream(gateway: GatewayProcess, vendor: MockVendor) -> None:
    vendor.fault("slow_drip", match={"model": "cancel-me"}, delay_s=0.1)
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
            frames = Frames(link)
            await frames.create("c", "mock/cancel-me", "a b c d e f g h i j k l m n o p q r s t", stream=True)
            await frames.create("other", "fake/echo")
            while "c" not in frames.received:
                await frames.next()
            await frames.send(type="cancel", id="c")
            done = await frames.last("c")
            assert done["type"] == "chat.canceled"
            await eventually(lambda: arrived(vendor, "cancel-me")[0]["is_aborted"], "the vendor request is aborted")
            assert (await frames.last("other"))["type"] == "chat.completed"
            await frames.create("c", "fake/echo")  # the id may be used again
            frames.received.pop("c")
            assert (await frames.last("c"))["type"] == "chat.completed"
        record = gateway.record(done["headers"]["x-request-id"])
        assert (record["status"], record["error_code"]) == (499, "client_disconnected")
        assert record["usage"]["is_estimated"]
    finally:
        vendor.clear()


async def test_request_can_be_canceled_immediately(gateway: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
        frames = Frames(link)
        for number in range(20):
            await frames.create(f"{number}", "fake/slow")
            await frames.send(type="cancel", id=f"{number}")
        for number in range(20):
            done = await frames.last(f"{number}")
            assert done["type"] == "chat.canceled"
            assert gateway.record(done["headers"]["x-request-id"])["status"] == 499


@pytest.mark.parametrize(
    ("frame", "code", "name"),
    [
        ("no json", "invalid_json", None),
        ("[]", "invalid_frame", None),
        ('{"type":"nonsense","id":"n"}', "unknown_frame_type", "n"),
        ('{"type":"chat.create","id":"n"}', "missing_required_parameter", "n"),
        ('{"type":"chat.create","request":{}}', "missing_required_parameter", None),
        ('{"id":"n"}', "unknown_frame_type", "n"),
        ('{"type":"cancel"}', "missing_required_parameter", None),
        ('{"type":"cancel","id":"nobody"}', "unknown_id", "nobody"),
        ('{"type":"chat.create","id":"n","request":' + "[" * 200 + "]" * 200 + "}", "limit_exceeded", None),
        ('{"type":"chat.create","id":"n","request":[]}', "invalid_type", "n"),
        ('{"type":"chat.create","id":"n","request":{"model":"nope","messages":[]}}', None, "n"),
        ("\u0000", "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
    ],
)
async def test_invalid_frame_is_answered_and_the_socket_stays_open(
    gateway: GatewayProcess, frame: str | bytes, code: str | None, name: str | None
) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
        frames = Frames(link)
        await link.send(frame)
        error = await frames.last(name)
        assert error["type"] == "error"
        assert 400 <= error["status"] < 500
        assert error["error"]["message"]
        if code is not None:
            assert error["error"]["code"] == code
        await frames.send(type="ping", id="p")
        assert await frames.next() == {"type": "pong", "id": "p"}
        await frames.create("after", "fake/echo")
        assert (await frames.last("after"))["type"] == "chat.completed"


async def test_duplicate_id_is_rejected_and_the_first_request_continues(
    gateway: GatewayProcess, vendor: MockVendor
) -> None:
    vendor.fault("slow", match={"model": "twice"}, delay_s=0.3)
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
            frames = Frames(link)
            await frames.create("t", "mock/twice")
            await frames.create("t", "mock/twice")
            assert (await frames.next())["error"]["code"] == "duplicate_id"
            frames.received.clear()
            assert (await frames.last("t"))["type"] == "chat.completed"
    finally:
        vendor.clear()
    assert len(arrived(vendor, "twice")) == 1


async def test_requests_in_flight_per_socket_are_limited(gateway: GatewayProcess, vendor: MockVendor) -> None:
    vendor.fault("hang", match={"model": "full"})
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
            frames = Frames(link)
            for number in range(MAX_IN_FLIGHT + 1):
                await frames.create(f"{number}", "mock/full")
            error = await frames.last(f"{MAX_IN_FLIGHT}")
            assert (error["status"], error["error"]["code"]) == (503, "overloaded")
            assert error["retry_after_s"] == 1.0
            await frames.send(type="cancel", id="0")
            assert (await frames.last("0"))["type"] == "chat.canceled"
            await frames.create("again", "fake/echo")
            assert (await frames.last("again"))["type"] == "chat.completed"
    finally:
        vendor.clear()


@pytest.mark.parametrize("abruptly", [False, True])
async def test_requests_are_canceled_when_the_socket_closes(
    gateway: GatewayProcess, vendor: MockVendor, abruptly: bool
) -> None:
    model = f"gone-{abruptly}".lower()
    vendor.fault("hang", match={"model": model}, after_events=2)
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
            frames = Frames(link)
            for number in range(3):
                await frames.create(f"{number}", f"mock/{model}", stream=True)
            await eventually(lambda: len(arrived(vendor, model)) == 3, "the vendor has the requests")
            while len(frames.received) < 3:
                await frames.next()
            if abruptly:
                link.transport.abort()
        await eventually(
            lambda: all(each["is_aborted"] for each in arrived(vendor, model)), "the vendor request is aborted"
        )
    finally:
        vendor.clear()
    for name in frames.received:
        assert name is not None
        record = gateway.record(frames.received[name][0]["headers"]["x-request-id"])
        assert (record["status"], record["error_code"]) == (499, "client_disconnected")


async def test_failures_are_reported_as_error_frames(gateway: GatewayProcess, vendor: MockVendor) -> None:
    vendor.fault("drop", match={"model": "cut"}, at="events", after_events=3)
    vendor.fault("error", match={"model": "bad"}, status=400)
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
            frames = Frames(link)
            await frames.create("cut", "mock/cut", "a b c d e f", stream=True)
            await frames.create("bad", "mock/bad")
            cut, bad = await frames.last("cut"), await frames.last("bad")
    finally:
        vendor.clear()
    assert [frame["type"] for frame in frames.received["cut"][:2]] == ["chat.started", "chat.chunk"]
    assert cut["type"] == "error"
    assert cut["error"]["code"] == "upstream_disconnected"
    assert gateway.record(cut["headers"]["x-request-id"])["error_code"] == "upstream_disconnected"
    assert (bad["type"], bad["status"]) == ("error", 400)


async def test_handshake_and_models_depend_on_the_key(gateway: GatewayProcess) -> None:
    assert (await rejected_handshake(gateway, WS, key=None))[0] == 401
    status, error, headers = await rejected_handshake(gateway, WS, key=KEYS["late"])
    assert (status, error["code"]) == (401, "expired_api_key")
    assert headers["x-request-id"].startswith("req_")
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS, key=KEYS["narrow"]) as link:
        frames = Frames(link)
        await frames.create("a", "fake/echo")
        await frames.create("b", "mock/other")
        await frames.create("c", "asistant")
        assert (await frames.last("a"))["type"] == "chat.completed"
        for refused in (await frames.last("b"), await frames.last("c")):
            assert refused["error"]["code"] == "model_not_found"
            assert "Did you mean" not in refused["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_unknown_model_of_a_frame_is_recorded_and_a_similar_one_suggested(
    gateway: GatewayProcess, stream: bool
) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
        frames = Frames(link)
        await frames.create("a", "asistant", stream=stream)
        refused = await frames.last("a")
    assert "Did you mean `assistant`?" in refused["error"]["message"]
    assert gateway.record(refused["headers"]["x-request-id"])["model"] == "asistant"


@pytest.mark.parametrize("way", ["query", "api-key", "subprotocol"])
async def test_key_is_accepted_in_query_header_and_subprotocol(gateway: GatewayProcess, way: str) -> None:
    key = KEYS["ann"]
    options: dict[str, Any] = {}
    if way == "subprotocol":
        options["subprotocols"] = ["intellirouter.v1", f"intellirouter-key.{key}"]
    if way == "api-key":
        options["headers"] = {"api-key": key}
    path = f"{WS}?key={key}" if way == "query" else WS
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, path, key=None, **options) as link:
        assert link.subprotocol == ("intellirouter.v1" if way == "subprotocol" else None)
        frames = Frames(link)
        await frames.create("a", "fake/echo")
        done = await frames.last("a")
    assert gateway.record(done["headers"]["x-request-id"])["key_name"] == "ann"
    assert key not in gateway.stderr()


async def test_too_large_message_closes_the_socket(gateway: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, WS) as link:
        await link.send("x" * (MAX_BODY_BYTES + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/realtime"])
def test_request_without_upgrade_headers_is_rejected_with_a_hint_about_proxies(
    gateway: GatewayProcess, path: str
) -> None:
    response = gateway.get(path)
    assert response.status_code == 426
    message = response.json()["error"]["message"]
    assert message.startswith(f"{path} supports only WebSockets.")
    assert "`Upgrade` and `Connection`" in message


@pytest.mark.parametrize(("path", "status"), [("/v1/responses", 426), ("/v1/chat/completions", 426), ("/v1/nope", 404)])
async def test_handshake_on_other_paths_is_rejected(gateway: GatewayProcess, path: str, status: int) -> None:
    headers = {"openai-beta": "responses_websockets=2026-02-06"}
    answered, error, _ = await rejected_handshake(gateway, path, headers=headers)
    assert answered == status
    assert error["message"]


UPGRADE = "host: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
KEY = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.mark.parametrize(
    "head",
    [
        f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}",
        f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}{KEY.replace('13', '7')}",
        f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}sec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n",
        f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}{KEY}content-length: 2\r\n",
        f"GET /v1/ws?{'x' * 9000} HTTP/1.1\r\n{UPGRADE}{KEY}",
        f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}{KEY}long: {'x' * 9000}\r\n",
        f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}{KEY}" + "".join(f"h{number}: x\r\n" for number in range(200)),
    ],
)
def test_malformed_handshake_is_answered(gateway: GatewayProcess, head: str) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
        link.sendall(head.encode() + b"\r\n")
        received = b"".join(iter(lambda: link.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 4"), received[:200]


def test_handshake_pipelined_behind_a_request_closes_the_connection(gateway: GatewayProcess) -> None:
    body = json.dumps({"model": "fake/slow", "messages": [{"role": "user", "content": "x"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEYS['ann']}\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n{body}GET /v1/ws HTTP/1.1\r\n{UPGRADE}{KEY}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
        link.sendall(request.encode())
        received = b"".join(iter(lambda: link.recv(65536), b""))
    assert b" 101 " not in received


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/realtime"])
def test_http_request_to_a_websocket_path_is_rejected(gateway: GatewayProcess, path: str) -> None:
    answer = gateway.get(path, key=KEYS["ann"])
    assert answer.status_code == 426
    assert answer.json()["error"]["code"] == "websocket_required"


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x81\x05hello",  # not masked
        b"\x83\x80\x00\x00\x00\x00",  # no such opcode
        b"\x80\x81\x00\x00\x00\x00a",  # a continuation without a beginning
        b"\xc1\x81\x00\x00\x00\x00a",  # a reserved bit
        b"\x81\xff" + b"\xff" * 8,  # a length of 2**63 or more
        b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # text that is not UTF-8
        b"\x88\x82\x00\x00\x00\x00\x03\xed",  # a reserved close code
    ],
)
def test_malformed_websocket_frames_close_the_socket(gateway: GatewayProcess, garbage: bytes) -> None:
    head = f"GET /v1/ws HTTP/1.1\r\n{UPGRADE}{KEY}authorization: Bearer {KEYS['ann']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
        link.sendall(head.encode())
        received = link.recv(65536)
        assert received.startswith(b"HTTP/1.1 101 ")
        link.sendall(garbage)
        received = b"".join(iter(lambda: link.recv(65536), b""))
    assert received[:1] == b"\x88", received
    assert int.from_bytes(received[2:4], "big") in {1002, 1007, 1009}


def config(vendor: MockVendor, **server: Any) -> dict[str, Any]:
    return {
        "server": server,
        "providers": {
            "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"},
            "fake": {"vendor": "fake"},
        },
    }


async def test_stopping_gateway_finishes_requests_and_closes_the_socket(vendor: MockVendor, tmp_path: Path) -> None:
    vendor.fault("slow_drip", match={"model": "drained"}, delay_s=0.08)
    gateway = GatewayProcess(config(vendor, drain_s=10), tmp_path)
    await asyncio.to_thread(gateway.start)
    try:
        async with (
            asyncio.timeout(20),
            open_socket(gateway, WS, key=None) as link,
            open_socket(gateway, WS, key=None) as idle,
        ):
            frames = Frames(link)
            await frames.create("d", "mock/drained", "one two three four five", stream=True)
            while len(frames.received.get("d", ())) < 3:
                await frames.next()
            gateway.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                await idle.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            await frames.create("late", "fake/echo")
            assert (await frames.last("late"))["error"]["code"] == "overloaded"
            assert (await frames.last("d"))["type"] == "chat.completed"
            assert frames.text("d").endswith("five")
            with pytest.raises(ConnectionClosed) as closed:
                await frames.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert await asyncio.to_thread(gateway.wait) == 0
    finally:
        vendor.clear()
        await asyncio.to_thread(gateway.stop)


async def test_request_that_exceeds_the_drain_time_gets_an_error(vendor: MockVendor, tmp_path: Path) -> None:
    vendor.fault("hang", match={"model": "stuck"}, after_events=2)
    gateway = GatewayProcess(config(vendor, drain_s=1), tmp_path)
    await asyncio.to_thread(gateway.start)
    try:
        async with asyncio.timeout(20), open_socket(gateway, WS, key=None) as link:
            frames = Frames(link)
            await frames.create("s", "mock/stuck", stream=True)
            await frames.next()
            gateway.signal(signal.SIGTERM)
            assert (await frames.last("s"))["error"]["code"] == "overloaded"
            with pytest.raises(ConnectionClosed) as closed:
                await frames.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert await asyncio.to_thread(gateway.wait) == 0
    finally:
        vendor.clear()
        await asyncio.to_thread(gateway.stop)


async def test_foreign_origin_reload_and_idle_timeout(vendor: MockVendor, tmp_path: Path) -> None:
    gateway = GatewayProcess(config(vendor, socket_idle_s=1), tmp_path)
    await asyncio.to_thread(gateway.start)
    try:
        origin = {"origin": "https://evil.example"}
        assert (await rejected_handshake(gateway, WS, key=None, headers=origin))[0] == 403
        async with asyncio.timeout(20), open_socket(gateway, WS, key=None) as link:
            frames = Frames(link)
            await frames.create("a", "mock/first")
            assert (await frames.last("a"))["type"] == "chat.completed"
            changed = config(vendor, socket_idle_s=1)
            changed["models"] = {"renamed": {"deployments": ["mock/second"]}}
            gateway.configure(changed)
            gateway.signal(signal.SIGHUP)
            await eventually(lambda: "The configuration was reloaded" in gateway.stderr(), "the reload")
            await frames.create("b", "renamed")
            assert (await frames.last("b"))["type"] == "chat.completed"
            with pytest.raises(ConnectionClosed) as closed:
                await frames.next()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "The socket was idle for 1 s.")
    finally:
        await asyncio.to_thread(gateway.stop)


async def test_slow_reader_does_not_delay_other_sockets(gateway: GatewayProcess) -> None:
    """Frames for the slow client wait in bounded buffers while other clients are served. It receives all of them."""
    text = "word " * 4000
    async with asyncio.timeout(40), open_socket(gateway, WS, max_queue=1) as slow, open_socket(gateway, WS) as other:
        lazy, busy = Frames(slow), Frames(other)
        for number in range(10):
            await lazy.create(f"{number}", "fake/echo", text, stream=True)
        for number in range(5):
            await busy.create(f"{number}", "fake/echo")
            assert (await busy.last(f"{number}"))["type"] == "chat.completed"
        for number in range(10):
            assert (await lazy.last(f"{number}"))["type"] == "chat.completed"
            assert lazy.text(f"{number}").strip().endswith("word")
