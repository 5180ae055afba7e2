"""What every answer store does: one contract for the memory, Redis and Valkey."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.cache import AnswerStore, Claim, MemoryAnswerStore, RedisAnswerStore, StoredAnswer
from intellirouter.config import RedisSpec
from intellirouter.core import Loss
from intellirouter.testing import FakeClock
from tests.support.redis_server import RedisServer

CLOCK = FakeClock()
KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture(scope="module", params=["memory", "redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer | None]:
    if request.param == "memory":
        yield None
        return
    with RedisServer(request.param) as found:
        yield found


@pytest.fixture
async def store(server: RedisServer | None) -> AsyncIterator[AnswerStore]:
    if server is None:
        yield MemoryAnswerStore(1024 * 1024, stale_s=50.0)
        return
    server.ask("FLUSHALL")
    found = open_store(server)
    found.start()
    await found.connected()
    yield found
    await found.stop()


def open_store(server: RedisServer) -> RedisAnswerStore:
    spec = RedisSpec(uds=server.socket, timeout_s=2.0)
    return RedisAnswerStore(spec, CLOCK, random.Random(1), None, stale_s=50.0, max_entry_bytes=1024 * 1024)  # type: ignore[arg-type]


def answer(body: bytes = b"hi", ttl_s: float = 100.0, **members: object) -> StoredAnswer:
    now_s = CLOCK.monotonic_s()
    return StoredAnswer(
        body=body, content_type=b"text/x", request_id="r1", stored_s=now_s, expires_s=now_s + ttl_s, **members
    )  # type: ignore[arg-type]


async def test_an_answer_is_found_as_it_was(store: AnswerStore) -> None:
    stored = answer(
        b"\x00\xff" * 1000,
        finish_reason="stop",
        losses=(Loss("seed"), Loss("n", "emulated", "2 requests")),
        cost_microusd=5,
        client_key=b"c" * 32,
        pieces=((3, 0), (7, 120)),
    )
    await store.put("t", KEY, stored)
    found = await store.get("t", KEY, CLOCK.monotonic_s())
    assert found is not None
    assert (found.stored_s, found.expires_s) == (
        pytest.approx(stored.stored_s, abs=1e-4),
        pytest.approx(stored.expires_s, abs=1e-4),
    )
    for name in (
        "body",
        "content_type",
        "request_id",
        "finish_reason",
        "losses",
        "cost_microusd",
        "client_key",
        "pieces",
    ):
        assert getattr(found, name) == getattr(stored, name), name


async def test_nothing_is_found_under_another_key_or_tenant(store: AnswerStore) -> None:
    await store.put("t", KEY, answer())
    for tenant, key in (("t", OTHER), ("u", KEY), ("", KEY), ("t:", KEY), ("T", KEY), ("t", b"")):
        assert await store.get(tenant, key, CLOCK.monotonic_s()) is None


async def test_a_later_answer_replaces_the_former(store: AnswerStore) -> None:
    await store.put("t", KEY, answer(b"one"))
    await store.put("t", KEY, answer(b"two"))
    found = await store.get("t", KEY, CLOCK.monotonic_s())
    assert found is not None
    assert found.body == b"two"


async def test_an_expired_answer_is_kept_for_errors_and_no_longer(store: AnswerStore) -> None:
    await store.put("t", KEY, answer(ttl_s=10.0))
    now_s = CLOCK.monotonic_s()
    kept = await store.get("t", KEY, now_s + 59.0)
    assert kept is not None
    assert kept.expires_s < now_s + 59.0
    assert await store.get("t", KEY, now_s + 61.0) is None


async def test_releasing_what_was_not_claimed_changes_nothing(store: AnswerStore) -> None:
    await store.put("t", KEY, answer())
    store.release("t", KEY)
    assert await store.get("t", KEY, CLOCK.monotonic_s()) is not None


async def test_a_free_key_can_be_claimed_and_the_answer_replaces_the_claim(store: AnswerStore) -> None:
    claim = Claim(client_key=b"c", request_id="r1")
    assert await store.claim("t", KEY, claim) is None
    assert await store.get("t", KEY, CLOCK.monotonic_s()) is None
    await store.put("t", KEY, answer(client_key=b"c"))
    found = await store.get("t", KEY, CLOCK.monotonic_s())
    assert found is not None
    assert found.client_key == b"c"


async def test_a_released_key_can_be_claimed_again(store: AnswerStore) -> None:
    for number in range(3):
        assert await store.claim("t", KEY, Claim(client_key=b"c", request_id=f"r{number}")) is None
        store.release("t", KEY)


async def test_many_requests_at_once(store: AnswerStore) -> None:
    keys = [number.to_bytes(32, "big") for number in range(200)]
    await asyncio.gather(*[store.put("t", key, answer(key)) for key in keys])
    found = await asyncio.gather(*[store.get("t", key, CLOCK.monotonic_s()) for key in keys])
    assert [each and each.body for each in found] == keys


async def test_a_lookup_that_is_canceled_affects_no_other(store: AnswerStore) -> None:
    await store.put("t", KEY, answer(b"one"))
    await store.put("t", OTHER, answer(b"two"))
    canceled = [asyncio.create_task(as_task(store, KEY)) for _ in range(20)]
    await asyncio.sleep(0)
    for each in canceled:
        each.cancel()
    found = await store.get("t", OTHER, CLOCK.monotonic_s())
    assert found is not None
    assert found.body == b"two"
    await asyncio.gather(*canceled, return_exceptions=True)


async def as_task(store: AnswerStore, key: bytes) -> StoredAnswer | None:
    return await store.get("t", key, CLOCK.monotonic_s())


names = st.text(max_size=12) | st.sampled_from(["a", "a:", "A", "a ", "á", "a*", "{a}", "\x00"])


@given(pairs=st.lists(st.tuples(names, st.binary(max_size=8)), unique=True, min_size=2, max_size=8))
def test_no_pair_of_tenant_and_key_finds_the_answer_of_another(
    server: RedisServer | None, pairs: list[tuple[str, bytes]]
) -> None:
    asyncio.run(check_apart(server, pairs))


async def check_apart(server: RedisServer | None, pairs: list[tuple[str, bytes]]) -> None:
    if server is None:
        store: AnswerStore = MemoryAnswerStore(1024 * 1024)
    else:
        server.ask("FLUSHALL")
        store = open_store(server)
        store.start()
        await store.connected()
    now_s = CLOCK.monotonic_s()
    for number, (tenant, key) in enumerate(pairs[1:]):
        await store.put(tenant, key, answer(b"%d" % number))
    for number, (tenant, key) in enumerate(pairs[1:]):
        found = await store.get(tenant, key, now_s)
        assert found is not None
        assert found.body == b"%d" % number
    assert await store.get(*pairs[0], now_s) is None
    if isinstance(store, RedisAnswerStore):
        await store.stop()
