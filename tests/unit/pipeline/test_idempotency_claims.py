"""`Idempotency-Key` across processes: one of them claims the key, and the others wait for its answer."""

import asyncio

import pytest

from intellirouter.cache import Claim, MemoryAnswerStore, StoredAnswer
from intellirouter.core import errors
from intellirouter.pipeline import Exchange
from tests.support.cached_world import Cached, spec
from tests.support.pipeline import ANSWER, BODY, STREAM_BODY, Reply, Response, Source


class SharedStore(MemoryAnswerStore):
    """A store that other processes use as well."""

    def __init__(self) -> None:
        super().__init__(1024 * 1024)
        self.claims: dict[bytes, Claim] = {}
        self.asked = 0

    async def claim(self, tenant: str, key: bytes, claim: Claim) -> StoredAnswer | Claim | None:
        self.asked += 1
        await asyncio.sleep(0)
        if (found := await self.get(tenant, key, 0.0)) is not None:
            return found
        return None if self.claims.setdefault(key, claim) is claim else self.claims[key]

    async def put(self, tenant: str, key: bytes, answer: StoredAnswer) -> None:
        self.claims.pop(key, None)
        await super().put(tenant, key, answer)

    def release(self, tenant: str, key: bytes) -> None:
        self.claims.pop(key, None)


def processes(count: int, *answers: Response | BaseException, **members: object) -> tuple[SharedStore, list[Cached]]:
    store, worlds = SharedStore(), [Cached(*answers, **members) for _ in range(count)]  # type: ignore[arg-type]
    for world in worlds:
        world.shared.store = store
    return store, worlds


async def once(
    world: Cached, body: bytes = BODY, key: bytes = b"k1", source: Source | None = None
) -> tuple[Exchange, Reply]:
    reply = Reply()

    def note(exchange: Exchange) -> None:
        exchange.idempotency_key = key

    async with asyncio.timeout(5):
        return await world.entry.serve(source or Source(body), reply, note), reply


async def test_processes_make_one_call_and_send_the_same_answer() -> None:
    _, worlds = processes(4, Response(ANSWER))
    gates = [asyncio.Event() for _ in worlds]
    for world, gate in zip(worlds, gates, strict=True):
        world.upstream.gate = gate
    tasks = [asyncio.create_task(once(world)) for world in worlds for _ in range(3)]
    await asyncio.sleep(0.05)
    assert sum(world.calls for world in worlds) == 1
    for gate in gates:
        gate.set()
    answers = [(await task)[1].body for task in tasks]
    assert answers == [ANSWER] * 12
    assert sum(world.calls for world in worlds) == 1


async def test_a_different_request_is_refused_while_the_first_is_in_progress_elsewhere() -> None:
    store, (one, two) = processes(2, Response(ANSWER))
    one.upstream.gate = asyncio.Event()
    first = asyncio.create_task(once(one))
    await asyncio.sleep(0.01)
    _, reply = await once(two, BODY.replace(b"hello", b"bye"))
    assert isinstance(reply.error, errors.InvalidRequest)
    assert reply.error.code == "idempotency_key_reused"
    one.upstream.gate.set()
    await first
    assert (two.calls, store.claims) == (0, {})


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_after_a_failure_another_process_calls_the_upstream(body: bytes) -> None:
    store, (one, two) = processes(2)
    one.upstream.answers["a"] = [errors.UpstreamDisconnected("broken")]
    two.upstream.answers["a"] = [Response(ANSWER)]
    one.upstream.gate = asyncio.Event()
    first = asyncio.create_task(once(one, body))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(once(two, body))
    await asyncio.sleep(0.05)
    assert two.calls == 0
    one.upstream.gate.set()
    assert (await first)[1].error is not None
    assert (await second)[1].error is None
    assert (two.calls, store.claims) == (1, {})


async def test_an_answer_that_is_too_large_gives_the_claim_up() -> None:
    large = ANSWER.replace(b'"hi"', b'"%b"' % (b"x" * 3000))
    store, (one, two) = processes(2, Response(large), settings=spec(max_bytes=1024 * 1024, max_entry_bytes=2000))
    two.upstream.answers["a"] = [Response(large)]
    await once(one)
    assert store.claims == {}
    _, reply = await once(two)
    assert (reply.body, two.calls) == (large, 1)


async def test_waiting_is_limited() -> None:
    _, (world,) = processes(1, timeout_s=0.1)
    world.shared.store = Blocking()
    task = asyncio.create_task(once(world))
    await asyncio.sleep(0.05)
    world.clock.advance(1.0)
    _, reply = await task
    assert isinstance(reply.error, errors.InvalidRequest)
    assert (reply.error.status, reply.error.code) == (409, "idempotency_key_in_use")


class Blocking(SharedStore):
    """Another process never answers the same request."""

    async def claim(self, tenant: str, key: bytes, claim: Claim) -> StoredAnswer | Claim | None:
        self.asked += 1
        return Claim(client_key=claim.client_key, request_id="req_other")


async def test_a_client_that_leaves_ends_the_waiting() -> None:
    _, (world,) = processes(1)
    world.shared.store = blocking = Blocking()
    source = Source(BODY)
    task = asyncio.create_task(once(world, source=source))
    await asyncio.sleep(0.05)
    assert source.on_disconnect is not None
    source.on_disconnect()
    exchange, _ = await task
    asked = blocking.asked
    await asyncio.sleep(0.1)
    assert (exchange.status, blocking.asked, len(world.flights)) == (499, asked, 0)
