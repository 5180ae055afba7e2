"""`/v1/realtime` with a real gateway: the official client, failover, faults on either side, and the ledger."""

import asyncio
import base64
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, MAX_BODY_BYTES, key_rows
from tests.support.gateway.process import GatewayProcess, until
from tests.support.gateway.websocket_client import PATIENCE_S, open_socket, rejected_handshake, url_of

REALTIME = "/v1/realtime?model="
UPSTREAM_KEY = "sk-upstream"
INPUT_USD, OUTPUT_USD = 2, 10
TAKEN_OVER: dict[str, dict[str, Any]] = {
    "upstream_unavailable": {"kind": "error", "status": 503},
    "upstream_authentication_failed": {"kind": "error", "status": 401},
    "rate_limit_exceeded": {"kind": "rate_limit"},
    "upstream_disconnected-handshake": {"kind": "drop"},
    "upstream_disconnected-session": {"kind": "drop", "at": "events", "after_events": 0},
    "upstream_timeout": {"kind": "hang"},
}
"""Faults of the first of two deployments, by their outcome in the record."""


def config(vendor: MockVendor, **server: Any) -> dict[str, Any]:
    mock = {"vendor": "openai-compatible", "base_url": vendor.base_url}
    price = {"input_per_1m_usd": INPUT_USD, "output_per_1m_usd": OUTPUT_USD}
    return {
        "server": {"max_body_bytes": MAX_BODY_BYTES, **server},
        "defaults": {"retries": 0, "backoff": {"base_s": 0.01, "max_s": 0.05}},
        "providers": {
            "mock": {**mock, "models": "*", "timeouts": {"first_token_s": 2}},
            "dead": {**mock, "base_url": "http://127.0.0.1:1/v1"},
            "claude": {"vendor": "anthropic", "base_url": vendor.url, "credential": "file:key"},
            "fake": {"vendor": "fake"},
        },
        "deployments": {
            "voice-a": {"provider": "mock", "model": "first-voice", "price": price},
            "voice-b": {"provider": "mock", "model": "second-voice", "price": price},
            "nowhere": {"provider": "dead", "model": "m"},
            "text-only": {"provider": "claude", "model": "claude-x"},
            **{
                f"{place}-{case}": {"provider": "mock", "model": f"{place}-{case}"}
                for place in ("first", "second")
                for case in TAKEN_OVER
            },
        },
        "models": {
            "voice": {"deployments": ["nowhere", "text-only", "voice-a"], "fallbacks": ["voice-b"]},
            "mute": {"deployments": ["text-only"]},
            "down": {"deployments": ["nowhere"]},
            **{f"pair-{case}": {"deployments": [f"first-{case}", f"second-{case}"]} for case in TAKEN_OVER},
        },
        "tenants": {"north": {}, "south": {}},
        "keys": key_rows(),
        "auth": {"required": True},
    }


@contextlib.contextmanager
def gateway_with(settings: dict[str, Any], folder: Path) -> Iterator[GatewayProcess]:
    (folder / "key").write_text(UPSTREAM_KEY)
    with GatewayProcess(settings, folder, admin_key=KEYS["admin"]) as running:
        yield running


@pytest.fixture(scope="module")
def voices(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with gateway_with(config(vendor), tmp_path_factory.mktemp("voices")) as running:
        yield running


def request_id(link: ClientConnection) -> str:
    assert link.response is not None
    return link.response.headers["x-request-id"]


async def event(link: ClientConnection, kind: str) -> dict[str, Any]:
    """Read events until one of this type arrives."""
    while True:
        found: dict[str, Any] = json.loads(await link.recv())
        if found["type"] == kind:
            return found


async def say(link: ClientConnection, text: str) -> dict[str, Any]:
    """Request a text response and return it."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await link.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await link.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
    return dict((await event(link, "response.done"))["response"])


async def closed(link: ClientConnection) -> tuple[int, str]:
    """Read to the end and return close code and reason."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await link.recv()
    await link.wait_closed()
    return link.close_code or 0, link.close_reason or ""


async def test_official_client_completes_a_session_with_exact_usage(voices: GatewayProcess) -> None:
    client = AsyncOpenAI(
        api_key=KEYS["ann"], base_url=voices.base_url, websocket_base_url=url_of(voices, "/v1"), max_retries=0
    )
    spent = {"input_tokens": 0, "output_tokens": 0}
    async with asyncio.timeout(PATIENCE_S), client, client.realtime.connect(model="voice") as link:
        await link.session.update(session={"type": "realtime", "model": "voice", "output_modalities": ["text"]})
        for text in ("hello", "and again"):
            await link.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            )
            await link.response.create()
            said = ""
            async for heard in link:
                if heard.type == "session.created":
                    assert heard.session.model == "first-voice"
                if heard.type == "response.output_text.delta":
                    said += heard.delta
                if heard.type == "response.done":
                    usage = heard.response.usage
                    assert usage is not None
                    for name in spent:
                        spent[name] += getattr(usage, name)
                    break
                assert heard.type != "error", heard
            assert said.endswith(text)
        socket: Any = link._connection
        name = socket.response.headers["x-request-id"]
        assert socket.response.headers["x-intellirouter-deployment"] == "voice-a"
    record = await asyncio.to_thread(voices.record, name)
    assert (record["endpoint"], record["model"], record["status"]) == ("/v1/realtime", "voice", 101)
    assert (record["deployment"], record["key_name"]) == ("voice-a", "ann")
    assert record["finish_reason"] == "client_closed"
    assert record["usage"] == spent
    assert record["cost_microusd"] == spent["input_tokens"] * INPUT_USD + spent["output_tokens"] * OUTPUT_USD
    assert [each["outcome"] for each in record["attempts"]] == ["upstream_connect_failed", "ok"]


async def test_audio_is_unchanged_and_priced_as_audio(voices: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(voices, REALTIME + "voice-a") as link:
        sound = base64.b64encode(bytes(48_000)).decode()
        await link.send(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
        await link.send('{"type":"input_audio_buffer.commit"}')
        await event(link, "input_audio_buffer.committed")
        await link.send('{"type":"response.create"}')
        delta = await event(link, "response.output_audio.delta")
        assert len(base64.b64decode(delta["delta"])) == 4800
        usage = (await event(link, "response.done"))["response"]["usage"]
    record = await asyncio.to_thread(voices.record, request_id(link))
    assert record["usage"]["output_audio_tokens"] == usage["output_token_details"]["audio_tokens"] > 0


async def test_key_is_accepted_as_a_subprotocol(voices: GatewayProcess) -> None:
    offered = ["realtime", f"openai-insecure-api-key.{KEYS['bob']}", "openai-beta.realtime-v1"]
    async with (
        asyncio.timeout(PATIENCE_S),
        open_socket(voices, REALTIME + "voice-a", key=None, subprotocols=offered) as link,
    ):
        assert link.subprotocol == "realtime"
        await event(link, "session.created")
    record = await asyncio.to_thread(voices.record, request_id(link))
    assert record["key_name"] == "bob"


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("/v1/realtime", "ann", 400, "missing_required_parameter"),
        (REALTIME, "ann", 400, "missing_required_parameter"),
        (REALTIME + "unheard-of", "ann", 404, "model_not_found"),
        (REALTIME + "voice", "narrow", 404, "model_not_found"),
        (REALTIME + "voice", None, 401, "missing_api_key"),
        (REALTIME + "voice", "late", 401, "expired_api_key"),
        (REALTIME + "mute", "ann", 400, "no_eligible_deployment"),
        (REALTIME + "fake/echo", "ann", 400, "no_eligible_deployment"),
        (REALTIME + "down", "ann", 502, "upstream_connect_failed"),
    ],
)
async def test_rejected_handshake_is_an_http_error(
    voices: GatewayProcess, path: str, key: str | None, status: int, code: str
) -> None:
    answered, error, headers = await rejected_handshake(voices, path, key=KEYS[key] if key else None)
    assert (answered, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    record = await asyncio.to_thread(voices.record, headers["x-request-id"])
    assert (record["status"], record["error_code"]) == (status, code)


@pytest.mark.parametrize("case", TAKEN_OVER)
async def test_fallback_serves_a_session_that_the_first_refuses(
    voices: GatewayProcess, vendor: MockVendor, case: str
) -> None:
    vendor.fault(**TAKEN_OVER[case], match={"model": f"first-{case}"})
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(voices, f"{REALTIME}pair-{case}") as link:
            assert link.response is not None
            assert link.response.headers["x-intellirouter-deployment"] == f"second-{case}"
            created = await event(link, "session.created")
            assert created["session"]["model"] == f"second-{case}"
            await say(link, "hello")
    finally:
        vendor.clear()
    record = await asyncio.to_thread(voices.record, request_id(link))
    assert [each["outcome"] for each in record["attempts"]] == [case.partition("-")[0], "ok"]
    assert record["deployment"] == f"second-{case}"


@pytest.mark.parametrize("kind", ["drop", "reset"])
async def test_upstream_disconnect_is_reported_and_usage_recorded(
    voices: GatewayProcess, vendor: MockVendor, kind: str
) -> None:
    name = f"breaks-{kind}"
    vendor.fault(kind, match={"model": name}, at="events", after_events=22)
    try:
        async with asyncio.timeout(PATIENCE_S), open_socket(voices, REALTIME + f"mock/{name}") as link:
            await say(link, "hello")
            with pytest.raises(ConnectionClosed):
                await say(link, "once more, at some length, so that it is cut")
            code, _ = await closed(link)
    finally:
        vendor.clear()
    assert code == 1011
    record = await asyncio.to_thread(voices.record, request_id(link))
    assert (record["status"], record["error_code"]) == (101, "upstream_disconnected")
    assert record["finish_reason"] == "upstream_closed"
    assert record["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("abruptly", [False, True])
async def test_client_disconnect_closes_the_upstream_session(
    voices: GatewayProcess, vendor: MockVendor, abruptly: bool
) -> None:
    before = vendor.open_connections()
    async with asyncio.timeout(PATIENCE_S), open_socket(voices, REALTIME + "mock/left") as link:
        await say(link, "hello")
        assert vendor.open_connections() > before - 1
        if abruptly:
            link.transport.abort()
    record = await asyncio.to_thread(voices.record, request_id(link))
    assert (record["status"], record["finish_reason"]) == (101, "client_closed")
    assert record["usage"]["output_tokens"] > 0
    await asyncio.to_thread(until, lambda: vendor.open_connections() <= before, "the upstream's socket is closed")


async def test_client_disconnect_during_the_upstream_handshake(voices: GatewayProcess, vendor: MockVendor) -> None:
    vendor.fault("hang", match={"model": "hesitates"})
    try:
        with pytest.raises(TimeoutError):
            async with open_socket(voices, REALTIME + "mock/hesitates", open_timeout=0.3):
                raise AssertionError

        def look() -> Any:
            return voices.get("/api/v1/requests", model="mock/hesitates").json()["requests"]

        (row,) = await asyncio.to_thread(until, look, "a record")
        assert (row["status"], row["error_code"]) == (499, "client_disconnected")
    finally:
        vendor.clear()


async def test_too_large_message_ends_the_session(voices: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(voices, REALTIME + "voice-a") as link:
        await link.send("x" * (MAX_BODY_BYTES + 1))
        assert (await closed(link))[0] == 1009
    record = await asyncio.to_thread(voices.record, request_id(link))
    assert record["finish_reason"] == "client_closed"


# -- scripted upstreams, for behavior that the mock vendor does not have ---------------------------------------------

CREATED = json.dumps({"type": "session.created", "session": {"model": "m"}})


@contextlib.asynccontextmanager
async def upstream(
    talk: Callable[[ServerConnection], Awaitable[Any]], vendor: MockVendor, folder: Path, **server: Any
) -> AsyncIterator[GatewayProcess]:
    """A gateway whose provider `own` is a scripted upstream."""
    async with serve(talk, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        settings = config(vendor, **server)
        own = {"vendor": "openai-compatible", "base_url": f"http://127.0.0.1:{port}/v1", "models": "*"}
        settings["providers"]["own"] = {**own, "credential": "file:key"}
        running = gateway_with(settings, folder)
        gateway = await asyncio.to_thread(running.__enter__)
        try:
            yield gateway
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


async def test_close_codes_query_headers_and_bytes_are_passed_on(vendor: MockVendor, tmp_path: Path) -> None:
    seen: list[Any] = []
    left: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def talk(link: ServerConnection) -> None:
        assert link.request is not None
        seen.append((link.request.path, link.request.headers))
        await link.send(CREATED)
        message = await link.recv()
        await link.send(message)
        if message == "leave":
            await link.close(4321, "had enough")
            return
        await link.wait_closed()
        left.set_result((link.close_code, link.close_reason))

    async with asyncio.timeout(30), upstream(talk, vendor, tmp_path) as gateway:
        path = REALTIME + "own/m%2F1&intent=conversation&key=ignored"
        async with open_socket(gateway, path, headers={"openai-beta": "realtime=v1", "x-private": "stays"}) as link:
            await link.send(b"\x00\x01\xff")
            await event(link, "session.created")
            assert await link.recv() == b"\x00\x01\xff"
            await link.close(4000, "my reason")
        assert await left == (4000, "")
        async with open_socket(gateway, REALTIME + "own/m") as link:
            await link.send("leave")
            assert await closed(link) == (4321, "had enough")
    path, headers = seen[0]
    assert path == "/v1/realtime?model=m%2F1&intent=conversation"
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert headers["openai-beta"] == "realtime=v1"
    assert "x-private" not in headers


async def test_idle_and_maximum_session_time(vendor: MockVendor, tmp_path: Path) -> None:
    async def talk(link: ServerConnection) -> None:
        await link.send(CREATED)
        async for _ in link:
            await link.send("pong")

    async def chat(link: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await link.send("ping")
                await asyncio.sleep(0.1)

    limits = {"socket_idle_s": 0.5, "socket_max_s": 1.5}
    async with asyncio.timeout(30), upstream(talk, vendor, tmp_path, **limits) as gateway:
        async with open_socket(gateway, REALTIME + "own/m") as link:
            await event(link, "session.created")
            assert (await event(link, "error"))["error"]["code"] == "session_expired"
            assert await closed(link) == (1000, "The session was idle for 0.5 s.")
        assert (await asyncio.to_thread(gateway.record, request_id(link)))["finish_reason"] == "idle_timeout"
        async with open_socket(gateway, REALTIME + "own/m") as link:
            talking = asyncio.ensure_future(chat(link))
            assert (await closed(link))[0] == 1000
            await talking
        record = await asyncio.to_thread(gateway.record, request_id(link))
        assert record["finish_reason"] == "session_limit"
        assert 1400 < record["duration_ms"] < 4000


async def test_stopping_gateway_closes_sessions(vendor: MockVendor, tmp_path: Path) -> None:
    codes: list[int | None] = []

    async def talk(link: ServerConnection) -> None:
        await link.send(CREATED)
        await link.send('{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}')
        await link.wait_closed()
        codes.append(link.close_code)

    async with asyncio.timeout(30), upstream(talk, vendor, tmp_path, drain_s=10) as gateway:
        async with open_socket(gateway, REALTIME + "own/m") as link:
            await event(link, "response.done")
            gateway.signal(signal.SIGTERM)
            assert await closed(link) == (1001, "The gateway is stopping.")
        assert await asyncio.to_thread(gateway.wait) == 0
        assert codes == [1001]
        await asyncio.to_thread(gateway.start)
        record = await asyncio.to_thread(gateway.record, request_id(link))
        assert record["finish_reason"] == "gateway_stopping"
        assert record["usage"] == {"input_tokens": 3, "output_tokens": 4}


async def test_slow_upstream_applies_backpressure_to_the_client(vendor: MockVendor, tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    total = 0

    async def talk(link: ServerConnection) -> None:
        nonlocal total
        await link.send(CREATED)
        await goes_on.wait()
        async for message in link:
            total += len(message)

    async with asyncio.timeout(60), upstream(talk, vendor, tmp_path) as gateway:
        async with open_socket(gateway, REALTIME + "own/m") as link:
            sent = 0
            piece = "x" * 100_000
            with contextlib.suppress(TimeoutError):
                while sent < 400:
                    async with asyncio.timeout(1.0):
                        await link.send(piece)
                    sent += 1
            assert sent < 400, "nothing held the client back"
            goes_on.set()
            await link.send("last")
            await link.close()
        await asyncio.to_thread(gateway.record, request_id(link))
        assert total >= sent * len(piece) + len("last")
