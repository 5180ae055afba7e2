"""The response cache in the pipeline: hits, misses, joins and stale answers, complete and streamed."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from intellirouter.cache import CacheDirectives, Flights, MemoryAnswerStore
from intellirouter.config import CacheSpec, KeySpec
from intellirouter.core import OffLoop, Price, Usage, errors
from intellirouter.pipeline import CacheStage, Exchange, SharedCache, Stages
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Answer, Reply, Response, Source, World, resolved

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"
TTL = {"chat": 3600.0, "embeddings": 86_400.0}
TOOLS = (
    b'{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"x"}]}'
)
CALL = (
    b'{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",'
    b'"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
SENT = b"".join(EVENTS[:3]) + b"data: [DONE]\n\n"
"""The stream that the client gets: it did not ask for the usage."""
PRICE = Price(input=1_000_000, output=1_000_000, version="test")


class Cached(World):
    """A world whose cache is on."""

    def __init__(self, *answers: Answer, settings: CacheSpec | None = None, keys: tuple[KeySpec, ...] = ()) -> None:
        chosen = settings or CacheSpec(default_mode="exact", is_used=True, ttl_s=TTL)
        self.store = MemoryAnswerStore(chosen.max_bytes, chosen.stale_if_error_s)
        self.flights = Flights()
        self.flights.apply(
            max_bytes=chosen.max_bytes, max_entry_bytes=chosen.max_entry_bytes, window_s=chosen.join_window_s
        )
        super().__init__(resolved("a", price=PRICE), keys=keys, a=answers)
        stage = CacheStage(
            chosen, SharedCache(self.store, self.flights), self.clock, OffLoop(), names_requested_model=False
        )
        self.use(Stages(sources=(stage,), answer=(stage,), rescues=(stage,)))

    async def ask(
        self,
        body: bytes = BODY,
        directives: CacheDirectives | None = None,
        reply: Reply | None = None,
        **members: object,
    ) -> tuple[Exchange, Reply]:
        """Serve one request with a reply of its own."""
        to = Reply() if reply is None else reply

        def note(exchange: Exchange) -> None:
            exchange.cache_directives = directives

        async with asyncio.timeout(5):
            return await self.entry.serve(Source(body, **members), to, note), to

    def start(self, body: bytes = BODY, reply: Reply | None = None) -> "asyncio.Task[tuple[Exchange, Reply]]":
        return asyncio.create_task(self.ask(body, reply=reply))

    @property
    def calls(self) -> int:
        return len(self.upstream.sent)

    @property
    def statuses(self) -> list[str | None]:
        return [record.cache for record in self.journal.records]


def sent_of(answer: Sequence[bytes]) -> bytes:
    return SENT if answer == EVENTS else b"".join(answer)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def spec(**members: object) -> CacheSpec:
    return CacheSpec(default_mode="exact", is_used=True, ttl_s=TTL, **members)  # type: ignore[arg-type]


class Halting(Response):
    """Sends its last chunk only after the gate has opened."""

    def __init__(self, *chunks: bytes, gate: asyncio.Event) -> None:
        super().__init__(*chunks)
        self._opened = gate
        self._left = len(chunks)

    async def next_chunk(self) -> bytes:
        self._left -= 1
        if self._left == 0:
            await self._opened.wait()
        return await super().next_chunk()


class SlowReply(Reply):
    """A client that reads nothing until the gate opens."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__()
        self._gate = gate

    async def write(self, data: bytes) -> None:
        await super().write(data)
        await self._gate.wait()


@pytest.mark.parametrize(("body", "answer", "kind"), [(BODY, (ANSWER,), JSON), (STREAM_BODY, EVENTS, SSE)])
async def test_second_request_gets_the_stored_bytes(body: bytes, answer: Sequence[bytes], kind: bytes) -> None:
    world = Cached(Response(*answer))
    first, original = await world.ask(body)
    world.clock.advance(12.0)
    second, replayed = await world.ask(body)
    assert world.calls == 1
    assert replayed.body == original.body == sent_of(answer)
    assert replayed.content_type == original.content_type == kind
    miss, hit = world.journal.records
    assert (miss.cache, hit.cache) == ("miss", "hit")
    assert (hit.cache_source, hit.cache_age_s) == (first.request_id, pytest.approx(12.0))
    assert (miss.cost_microusd, miss.saved_microusd) == (5, None)
    assert (hit.cost_microusd, hit.saved_microusd, hit.usage) == (0, 5, Usage())
    assert (hit.deployment, hit.attempts, hit.finish_reason) == (None, (), "stop")
    assert second.answered_by == "cache"


async def test_stream_and_complete_answer_are_stored_separately() -> None:
    world = Cached(Response(ANSWER), Response(*EVENTS))
    await world.ask(BODY)
    _, reply = await world.ask(STREAM_BODY)
    assert (world.calls, reply.body) == (2, SENT)


async def test_order_of_members_white_space_and_user_make_no_difference() -> None:
    world = Cached(Response(ANSWER))
    await world.ask(b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
    await world.ask(b'{ "messages": [{"content": "hello", "role": "user"}], "user": "u2", "model": "m" }')
    assert world.statuses == ["miss", "hit"]


async def test_tenants_do_not_share_answers() -> None:
    keys = tuple(
        KeySpec(digest=__import__("hashlib").sha256(name.encode()).digest(), tenant=name, name="k")
        for name in ("t1", "t2")
    )
    world = Cached(Response(ANSWER), Response(ANSWER), keys=keys)
    for key in (b"t1", b"t2", b"t1", b"t2"):
        await world.ask(key=key)
    assert world.statuses == ["miss", "miss", "hit", "hit"]


async def test_answer_expires() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER))
    await world.ask()
    world.clock.advance(3599.0)
    await world.ask()
    world.clock.advance(2.0)
    await world.ask()
    assert world.statuses == ["miss", "hit", "miss"]


async def test_model_that_is_off_is_not_cached() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER), settings=CacheSpec(default_mode="off", is_used=True, ttl_s=TTL))
    await world.ask()
    await world.ask()
    assert (world.calls, world.statuses) == (2, [None, None])


@pytest.mark.parametrize(
    ("directives", "statuses", "calls"),
    [
        (CacheDirectives(no_store=True), ["miss", "bypass"], 2),
        (CacheDirectives(no_cache=True), ["miss", "bypass"], 2),
        (CacheDirectives(max_age_s=9), ["miss", "miss"], 2),
        (CacheDirectives(max_age_s=10), ["miss", "hit"], 1),
        (CacheDirectives(only_if_cached=True), ["miss", "hit"], 1),
    ],
)
async def test_client_controls_the_cache(directives: CacheDirectives, statuses: list[str], calls: int) -> None:
    world = Cached(Response(ANSWER), Response(ANSWER))
    await world.ask()
    world.clock.advance(10.0)
    await world.ask(directives=directives)
    assert (world.statuses, world.calls) == (statuses, calls)


async def test_no_cache_replaces_the_stored_answer_and_no_store_does_not() -> None:
    newer = ANSWER.replace(b'"hi"', b'"newer"')
    newest = ANSWER.replace(b'"hi"', b'"newest"')
    world = Cached(Response(ANSWER), Response(newer), Response(newest))
    await world.ask()
    await world.ask(directives=CacheDirectives(no_cache=True))
    await world.ask(directives=CacheDirectives(no_store=True))
    _, reply = await world.ask()
    assert (reply.body, world.calls) == (newer, 3)


async def test_only_if_cached_without_an_answer_is_an_error() -> None:
    world = Cached()
    _, reply = await world.ask(directives=CacheDirectives(only_if_cached=True))
    assert isinstance(reply.error, errors.NotCached)
    assert (world.calls, len(world.flights)) == (0, 0)


async def test_only_if_cached_is_an_error_without_a_cache() -> None:
    world = World(a=Response(ANSWER))
    reply = Reply()

    def note(exchange: Exchange) -> None:
        exchange.cache_directives = CacheDirectives(only_if_cached=True)

    await world.entry.serve(Source(), reply, note)
    assert isinstance(reply.error, errors.NotCached)
    assert world.upstream.sent == []


@pytest.mark.parametrize(
    "answer",
    [
        Response(b'{"error":{"message":"no"}}', status=400),
        Response(ANSWER.replace(b'"stop"', b'"length"')),
        Response(ANSWER.replace(b'"stop"', b'"content_filter"')),
    ],
)
async def test_answers_that_are_not_complete_are_not_stored(answer: Response) -> None:
    world = Cached(answer, Response(ANSWER))
    await world.ask()
    _, reply = await world.ask()
    assert (world.calls, reply.body) == (2, ANSWER)


async def test_stream_that_breaks_off_is_not_stored() -> None:
    broken = Response(*EVENTS[:2], error=errors.UpstreamDisconnected("The connection broke."))
    world = Cached(broken, Response(*EVENTS))
    _, first = await world.ask(STREAM_BODY)
    _, second = await world.ask(STREAM_BODY)
    assert first.error is not None
    assert (world.calls, second.body) == (2, SENT)
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)


async def test_answer_beyond_the_limit_is_not_stored() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER), settings=spec(max_entry_bytes=len(ANSWER) - 1))
    await world.ask()
    await world.ask()
    assert (world.calls, world.store.used_bytes, world.flights.used_bytes) == (2, 0, 0)


@pytest.mark.parametrize(("tool_calls", "calls"), [(False, 2), (True, 1)])
async def test_tool_calls_are_stored_only_if_configured(tool_calls: bool, calls: int) -> None:
    world = Cached(Response(CALL), Response(CALL), settings=spec(tool_calls=tool_calls))
    await world.ask(TOOLS)
    await world.ask(TOOLS)
    assert world.calls == calls


async def test_text_answer_to_a_request_with_tools_is_stored() -> None:
    world = Cached(Response(ANSWER))
    await world.ask(TOOLS)
    await world.ask(TOOLS)
    assert world.statuses == ["miss", "hit"]


@pytest.mark.parametrize(
    ("temperature", "reason"),
    [
        ("0.5", None),
        ("0.6", "its temperature of 0.6 is above cache.max_temperature"),
        (None, "its temperature of 1 is"),
    ],
)
async def test_requests_above_the_temperature_bypass_the_cache(temperature: str | None, reason: str | None) -> None:
    body = BODY if temperature is None else BODY.replace(b'"model"', b'"temperature":%b,"model"' % temperature.encode())
    world = Cached(Response(ANSWER), Response(ANSWER), settings=spec(max_temperature=0.5))
    await world.ask(body)
    [record] = world.journal.records
    assert record.cache == ("miss" if reason is None else "bypass")
    assert (record.cache_reason or "").startswith(reason or "")


async def test_answer_that_the_provider_stores_is_not_shared() -> None:
    world = Cached(Response(ANSWER))
    await world.ask(BODY.replace(b'"model"', b'"store":true,"model"'))
    assert world.statuses == ["bypass"]


@pytest.mark.parametrize(("body", "answer"), [(BODY, (ANSWER,)), (STREAM_BODY, EVENTS)])
async def test_fifty_identical_requests_are_one_upstream_call(body: bytes, answer: Sequence[bytes]) -> None:
    gate = asyncio.Event()
    world = Cached(Halting(*answer, gate=gate))
    tasks = [world.start(body) for _ in range(50)]
    await turns()
    gate.set()
    replies = [reply for _, reply in await asyncio.gather(*tasks)]
    assert world.calls == 1
    assert {reply.body for reply in replies} == {sent_of(answer)}
    assert sorted(map(str, world.statuses)) == ["joined"] * 49 + ["miss"]
    joined = [record for record in world.journal.records if record.cache == "joined"]
    assert {(record.cost_microusd, record.saved_microusd, record.status) for record in joined} == {(0, 5, 200)}
    leader = next(record for record in world.journal.records if record.cache == "miss")
    assert {record.cache_source for record in joined} == {leader.request_id}
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)


async def test_follower_gets_the_stream_from_its_beginning_while_it_arrives() -> None:
    gate = asyncio.Event()
    world = Cached(Response(*EVENTS[:2], gate=gate, error=errors.UpstreamDisconnected("The connection broke.")))
    leader = world.start(STREAM_BODY)
    await turns()
    reply = Reply()
    follower = world.start(STREAM_BODY, reply)
    await turns()
    assert reply.body == b"".join(EVENTS[:2])
    gate.set()
    await asyncio.gather(leader, follower)
    assert reply.error is not None
    assert reply.error_event is not None
    assert world.calls == 1, "a follower that has begun cannot begin again"


async def test_request_outside_the_window_calls_the_upstream_itself() -> None:
    gate = asyncio.Event()
    world = Cached(Response(ANSWER, gate=gate), Response(ANSWER))
    leader = world.start()
    await turns()
    world.clock.advance(5.0)
    late = world.start()
    await turns()
    assert world.calls == 2
    gate.set()
    await asyncio.gather(leader, late)
    assert world.statuses == ["miss", "miss"]


async def test_requests_are_not_joined_without_a_window() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER), settings=spec(join_window_s=0.0))
    await asyncio.gather(world.start(), world.start())
    assert world.calls == 2


async def test_agents_do_not_share_tool_calls() -> None:
    world = Cached(Response(CALL), Response(CALL))
    await asyncio.gather(world.start(TOOLS), world.start(TOOLS))
    assert world.calls == 2


async def test_failure_of_the_leader_promotes_a_follower() -> None:
    gate = asyncio.Event()
    failing = Response(gate=gate, error=errors.UpstreamDisconnected("The connection broke."))
    world = Cached(failing, Response(ANSWER))
    tasks = [world.start() for _ in range(5)]
    await turns()
    gate.set()
    replies = [reply for _, reply in await asyncio.gather(*tasks)]
    assert world.calls == 2
    assert sorted(reply.body for reply in replies) == [b"", ANSWER, ANSWER, ANSWER, ANSWER]
    assert sorted(map(str, world.statuses)) == ["joined", "joined", "joined", "miss", "miss"]


async def test_two_failures_end_all_followers() -> None:
    gate = asyncio.Event()
    broken = [Response(gate=gate, error=errors.UpstreamDisconnected("The connection broke.")) for _ in range(2)]
    world = Cached(*broken)
    tasks = [world.start() for _ in range(6)]
    await turns()
    gate.set()
    replies = [reply for _, reply in await asyncio.gather(*tasks)]
    assert world.calls == 2
    assert all(reply.error is not None for reply in replies)
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)


async def test_request_that_the_upstream_rejects_is_not_sent_again() -> None:
    gate = asyncio.Event()
    world = Cached(Response(b'{"error":{"message":"too hot"}}', status=400, gate=gate))
    tasks = [world.start() for _ in range(3)]
    await turns()
    gate.set()
    replies = [reply for _, reply in await asyncio.gather(*tasks)]
    assert world.calls == 1
    assert {str(reply.error and reply.error.status) for reply in replies} == {"400"}


@pytest.mark.parametrize(("body", "answer"), [(BODY, (ANSWER,)), (STREAM_BODY, EVENTS)])
async def test_leader_whose_client_leaves_completes_for_its_followers(body: bytes, answer: Sequence[bytes]) -> None:
    gate = asyncio.Event()
    world = Cached(Halting(*answer, gate=gate))
    leader_source, reply = Source(body), Reply()
    leader = asyncio.create_task(world.entry.serve(leader_source, reply))
    await turns()
    follower = world.start(body)
    await turns()
    assert leader_source.on_disconnect is not None
    leader_source.on_disconnect()
    await turns()
    gate.set()
    _, followed = await follower
    await leader
    assert (world.calls, followed.body) == (1, sent_of(answer))
    left = next(record for record in world.journal.records if record.cache == "miss")
    assert (left.status, left.error_code, left.cost_microusd) == (499, "client_disconnected", 5)
    await world.ask(body)
    assert world.statuses[-1] == "hit"


async def test_upstream_call_ends_when_nobody_needs_it() -> None:
    gate = asyncio.Event()
    response = Response(*EVENTS[:2], gate=gate)
    world = Cached(response)
    sources = [Source(STREAM_BODY), Source(STREAM_BODY)]
    tasks = [asyncio.create_task(world.entry.serve(source, Reply())) for source in sources]
    await turns()
    for source in sources:
        assert source.on_disconnect is not None
        source.on_disconnect()
    await asyncio.gather(*tasks)
    assert response.outcome == "aborted"
    assert [record.status for record in world.journal.records] == [499, 499]
    assert (len(world.flights), world.flights.used_bytes, len(world.in_flight)) == (0, 0, 0)


async def test_leader_without_followers_is_canceled_with_its_client() -> None:
    response = Response(*EVENTS[:2], gate=asyncio.Event())
    world = Cached(response)
    source = Source(STREAM_BODY)
    leader = asyncio.create_task(world.entry.serve(source, Reply()))
    await turns()
    assert source.on_disconnect is not None
    source.on_disconnect()
    await leader
    assert response.outcome == "aborted"


async def test_slow_follower_does_not_slow_the_leader() -> None:
    gate, reads = asyncio.Event(), asyncio.Event()
    filler = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 65_000)
    world = Cached(Halting(EVENTS[0], *[filler] * 20, *EVENTS[2:], gate=gate), settings=spec(max_entry_bytes=100_000))
    leader = world.start(STREAM_BODY)
    await turns(3)
    slow, quick = SlowReply(reads), Reply()
    followers = [world.start(STREAM_BODY, slow), world.start(STREAM_BODY, quick)]
    await turns(200)
    gate.set()
    _, reply = await leader
    assert reply.body.endswith(b"data: [DONE]\n\n"), "the leader has ended before the slow follower"
    reads.set()
    await asyncio.gather(*followers)
    assert quick.body == reply.body
    assert isinstance(slow.error, errors.Overloaded)
    assert "too slowly" in slow.error.message
    assert world.flights.used_bytes == 0
    assert world.store.entry_count == 0, "it is larger than an entry may be"


@pytest.mark.parametrize(("body", "answer"), [(BODY, (ANSWER,)), (STREAM_BODY, EVENTS)])
async def test_expired_answer_is_used_if_all_attempts_fail(body: bytes, answer: Sequence[bytes]) -> None:
    down = [errors.UpstreamUnavailable("a is down."), errors.UpstreamUnavailable("a is down.")]
    world = Cached(Response(*answer), *down, settings=spec(stale_if_error_s=600.0))
    first, _ = await world.ask(body)
    world.clock.advance(3700.0)
    _, reply = await world.ask(body)
    assert (reply.error, reply.body) == (None, sent_of(answer))
    stale = world.journal.records[-1]
    assert (stale.status, stale.error_code, stale.cache, stale.cache_source) == (200, None, "stale", first.request_id)
    assert (stale.cost_microusd, stale.saved_microusd, len(stale.attempts)) == (0, 5, 1)
    assert "is down" in (stale.cache_reason or "")
    world.clock.advance(600.0)
    _, late = await world.ask(body)
    assert late.error is not None


async def test_expired_answer_is_not_used_for_a_request_that_is_rejected() -> None:
    world = Cached(
        Response(ANSWER), Response(b'{"error":{"message":"no"}}', status=400), settings=spec(stale_if_error_s=600.0)
    )
    await world.ask()
    world.clock.advance(3700.0)
    _, reply = await world.ask()
    assert isinstance(reply.error, errors.UpstreamRejected)


async def test_followers_get_the_stale_answer_as_well() -> None:
    gate = asyncio.Event()
    failing = Response(gate=gate, error=errors.UpstreamDisconnected("The connection broke."))
    world = Cached(Response(ANSWER), failing, settings=spec(stale_if_error_s=600.0))
    await world.ask()
    world.clock.advance(3700.0)
    tasks = [world.start() for _ in range(3)]
    await turns()
    gate.set()
    replies = [reply for _, reply in await asyncio.gather(*tasks)]
    assert [reply.body for reply in replies] == [ANSWER] * 3
    assert (world.calls, world.statuses[1:]) == (2, ["stale"] * 3)


async def test_responses_are_cached_only_if_they_are_not_stored() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER))
    body = {"model": "m", "input": "hi"}
    for store in (None, False):
        await world.ask(
            json.dumps(body if store is None else body | {"store": False}).encode(), endpoint="openai_responses"
        )
    assert world.statuses == ["bypass", "miss"]
