"""Answers in real servers: what the server does to them must never harm a request."""

import asyncio
import logging
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from intellirouter.cache import Claim, RedisAnswerStore, StoredAnswer
from intellirouter.core import SYSTEM_CLOCK, Secret
from tests.support.gateway.nginx import free_port
from tests.support.redis_server import Connect, RedisServer, until

KEY, OTHER = b"k" * 32, b"o" * 32
CLAIM = Claim(client_key=b"c", request_id="r1")


def answer(body: bytes = b"hi", ttl_s: float = 100.0) -> StoredAnswer:
    now_s = SYSTEM_CLOCK.monotonic_s()
    return StoredAnswer(
        body=body, content_type=b"text/x", request_id="r1", stored_s=now_s, expires_s=now_s + ttl_s, client_key=b"c"
    )


async def get(store: RedisAnswerStore, key: bytes = KEY, tenant: str = "t") -> StoredAnswer | None:
    return await store.get(tenant, key, SYSTEM_CLOCK.monotonic_s())


async def test_processes_share_answers_and_the_server_removes_them(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    one, two = await connect(server, stale_s=1.0), await connect(server, stale_s=1.0)
    await one.put("t", KEY, answer(ttl_s=20.0))
    assert await get(one) is not None
    found = await get(two)
    assert found is not None
    assert found.body == b"hi"
    [key] = server.keys()
    assert key.startswith(b"intellirouter:")
    assert b":t:" not in key
    lifetime_ms = int(server.ask("PTTL", key)[1:])
    assert 20_000 < lifetime_ms <= 21_000


async def test_prefixes_and_databases_are_apart(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    stores = [await connect(server, **members) for members in ({}, {"prefix": "other:"}, {"database": 3})]
    await stores[0].put("t", KEY, answer())
    assert [await get(each) is not None for each in stores] == [True, False, False]


@pytest.mark.parametrize("value", [b"", b"garbage", b"IR9\nx", b"IR1\n\x93\xa6answer"])
async def test_foreign_values_are_misses(
    server: RedisServer, connect: Connect, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("FLUSHALL")
    store = await connect(server)
    await store.put("t", KEY, answer())
    assert await get(store) is not None
    server.ask("SET", server.keys()[0], value)
    for _ in range(3):
        assert await get(store) is None
    assert store.counts.unusable == 3
    assert len([line for line in caplog.messages if "A value in Redis is not used" in line]) == 1
    await store.put("t", KEY, answer())
    assert await get(store) is not None


async def test_a_value_of_another_type_is_a_miss(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    store = await connect(server)
    await store.put("t", KEY, answer())
    assert await get(store) is not None
    [key] = server.keys()
    server.ask("DEL", key)
    server.ask("RPUSH", key, "x")
    assert await get(store) is None
    assert (store.counts.failed, store.health().state) == (1, "ok")


async def test_full_memory_is_reported_and_recovers(
    server: RedisServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("FLUSHALL")
    store = await connect(server)
    await store.put("t", KEY, answer())
    assert await get(store) is not None
    server.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        for _ in range(5):
            await store.put("t", OTHER, answer(bytes(1000)))
        await until(lambda: store.counts.rejected == 5)
        assert await get(store) is not None, "what is stored can still be read"
        assert store.health().state == "degraded"
        assert "OOM" in store.health().detail
        assert len([line for line in caplog.messages if "OOM" in line]) == 1
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")
    await store.put("t", OTHER, answer())
    await until(lambda: store.health().state == "ok")


async def test_a_slow_server_costs_the_timeout_once_and_is_used_again(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    store = await connect(server, timeout_s=0.05)
    await store.put("t", KEY, answer())
    assert await get(store) is not None
    server.ask("CLIENT", "PAUSE", "600", "ALL")
    began_s = time.monotonic()
    assert await get(store) is None
    assert 0.04 < time.monotonic() - began_s < 0.3
    assert (store.counts.failed, store.is_available) == (1, False)
    assert store.health().state == "degraded"
    began_s = time.monotonic()
    for _ in range(200):
        assert await get(store) is None
        await store.put("t", OTHER, answer())
    assert time.monotonic() - began_s < 0.1, "nothing waits while the reply is overdue"
    assert (store.counts.skipped, store.counts.dropped) == (200, 200)
    await until(lambda: store.is_available)
    assert await get(store) is not None
    assert store.health().state == "ok"


async def test_a_server_that_hangs_is_given_up(server: RedisServer, connect: Connect) -> None:
    store = await connect(server, timeout_s=0.05, connect_timeout_s=0.2)
    server.ask("CLIENT", "PAUSE", "2500", "ALL")
    assert await get(store) is None
    await until(lambda: "did not" in store.health().detail)
    assert not store.is_available
    await until(lambda: store.is_available)


async def test_a_killed_server_costs_no_time_and_is_used_again(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with RedisServer("redis") as server:
        store = await connect(server)
        await store.put("t", KEY, answer())
        assert await get(store) is not None
        lookups = [asyncio.create_task(get(store)) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*lookups)
        await until(lambda: not store.is_available)
        began_s = time.monotonic()
        for _ in range(200):
            assert await get(store) is None
            await store.put("t", KEY, answer())
        assert time.monotonic() - began_s < 0.2
        assert store.health().state == "degraded"
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.start)
        await until(lambda: store.is_available)
        await store.put("t", KEY, answer())
        assert await get(store) is not None
    texts = [line for line in caplog.messages if "The response cache" in line]
    assert len([line for line in texts if "does not use Redis" in line]) == 1
    assert len([line for line in texts if "again" in line]) == 1


async def test_a_server_that_is_not_there(connect: Connect, server: RedisServer) -> None:
    store = await connect(server, uds=f"{server.socket}-none")
    assert await get(store) is None
    await store.put("t", KEY, answer())
    assert await store.claim("t", KEY, CLAIM) is None
    assert store.health().state == "degraded"
    assert (store.counts.skipped, store.counts.dropped) == (1, 1)


@pytest.mark.parametrize("kind", ["redis", "valkey"])
async def test_login(kind: str, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(kind, "--requirepass", "right-password") as server:
        right = await connect(server, password=Secret("right-password"))
        await right.put("t", KEY, answer())
        assert await get(right) is not None
        for members in (
            {},
            {"password": Secret("wrong-password")},
            {"username": "nobody", "password": Secret("x-y-z-1")},
        ):
            wrong = await connect(server, **members)
            assert (await get(wrong), wrong.health().state) == (None, "degraded")
            assert "NOAUTH" in wrong.health().detail or "WRONGPASS" in wrong.health().detail
    assert "password" not in caplog.text.replace("username-password", "")


async def test_a_user_who_may_not_write(connect: Connect, server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "reader", "on", ">reader-pass", "~*", "+get", "+ping", "+select", "+auth")
    store = await connect(server, username="reader", password=Secret("reader-pass"))
    await store.put("t", KEY, answer())
    await until(lambda: store.counts.rejected == 1)
    assert "NOPERM" in store.health().detail
    assert await get(store, OTHER) is None
    assert store.counts.missing == 1


async def test_another_service_at_the_address(connect: Connect, tmp_path: Path, server: RedisServer) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        store = await connect(server, uds=None, host="127.0.0.1", port=port)
        assert store.health().state == "degraded"
        assert f"127.0.0.1:{port}" in store.health().detail


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


async def test_tls(connect: Connect, tmp_path: Path) -> None:
    cert, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    options = (
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(cert),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    )
    with RedisServer("redis", *options) as server:
        address = {"uds": None, "host": "127.0.0.1", "port": port, "is_tls": True, "connect_timeout_s": 5.0}
        for ca_file, state in ((str(cert), "ok"), (None, "degraded")):
            store = await connect(server, **address, ca_file=ca_file, tls_context=tls_context)
            assert store.health().state == state, store.health().detail
            if state == "ok":
                await store.put("t", KEY, answer(bytes(300_000)))
                assert await get(store) is not None


async def test_large_answers_in_a_burst_are_bounded(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    store = await connect(server)
    for number in range(100):
        await store.put("t", b"%d" % number, answer(bytes(1_000_000)))
    await until(lambda: store.counts.stored + store.counts.dropped == 100)
    assert store.counts.dropped > 50, "what the server does not take fast enough is not buffered"
    assert store.counts.stored > 0
    assert await get(store, b"0") is not None


async def test_a_claim_is_seen_by_other_processes(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    one, two = await connect(server), await connect(server)
    assert await one.claim("t", KEY, CLAIM) is None
    assert await two.claim("t", KEY, Claim(client_key=b"c", request_id="r2")) == CLAIM
    assert await get(two) is None, "a claim is not an answer"
    two.release("t", KEY)
    assert await two.claim("t", KEY, Claim(client_key=b"c", request_id="r2")) == CLAIM, "it is not the other's"
    await one.put("t", KEY, answer())
    found = await get(one)
    assert found is not None
    assert isinstance(await two.claim("t", KEY, CLAIM), StoredAnswer)
    one.release("t", KEY)
    assert await get(two) is not None, "an answer is not released"


async def test_claims_of_a_process_that_stops_are_given_up(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    one, two = await connect(server), await connect(server)
    assert await one.claim("t", KEY, CLAIM) is None
    [key] = server.keys()
    assert 10_000 < int(server.ask("PTTL", key)[1:]) <= 15_000, "a claim of a process that dies ends"
    await one.stop()
    await until(lambda: server.keys() == [])
    assert await two.claim("t", KEY, CLAIM) is None


async def test_exactly_one_of_many_processes_gets_a_claim(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    stores = [await connect(server) for _ in range(8)]
    claims = [Claim(client_key=b"c", request_id=f"r{number}") for number in range(8)]
    found = await asyncio.gather(*[store.claim("t", KEY, claim) for store, claim in zip(stores, claims, strict=True)])
    assert found.count(None) == 1
    assert set(found) - {None} == {claims[found.index(None)]}


async def test_claims_are_renewed(server: RedisServer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    server.ask("FLUSHALL")
    monkeypatch.setattr("intellirouter.cache.redis.store._RENEW_S", 0.05)
    store = await connect(server)
    assert await store.claim("t", KEY, CLAIM) is None
    [key] = server.keys()
    server.ask("PEXPIRE", key, "3000")
    await until(lambda: int(server.ask("PTTL", key)[1:]) > 10_000)
    await store.put("t", KEY, answer(ttl_s=5.0))
    await asyncio.sleep(0.2)
    assert int(server.ask("PTTL", key)[1:]) <= 5_000, "an answer is not renewed"


async def test_a_claim_whose_answer_is_rejected_is_given_up(server: RedisServer, connect: Connect) -> None:
    server.ask("FLUSHALL")
    store = await connect(server)
    assert await store.claim("t", KEY, CLAIM) is None
    server.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        await store.put("t", KEY, answer())
        await until(lambda: store.counts.rejected == 1 and server.keys() == [])
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")


async def test_stopping_twice_and_without_a_connection(server: RedisServer, connect: Connect) -> None:
    store = await connect(server)
    await store.stop()
    await store.stop()
    assert await get(store) is None
    await store.put("t", KEY, answer())
