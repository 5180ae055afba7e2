"""Identical requests in flight share one upstream call, complete and streamed."""

import asyncio
from collections.abc import Sequence

import pytest

from intellirouter.core import errors
from intellirouter.pipeline import Exchange
from tests.support.cached_world import (
    CALL,
    TOOLS,
    Cached,
    Halting,
    SlowReply,
    sent_of,
    spec,
    turns,
)
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Reply, Response, Source


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


class WaitingReply(Reply):
    """A client whose answer never begins."""

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:
        del exchange, stream_type
        await asyncio.Event().wait()


async def test_follower_that_is_canceled_before_its_answer_begins_is_not_waited_for() -> None:
    gate = asyncio.Event()
    world = Cached(Halting(*EVENTS, gate=gate))
    leader = world.start(STREAM_BODY)
    await turns()
    source = Source(STREAM_BODY)
    follower = asyncio.create_task(world.entry.serve(source, WaitingReply()))
    await turns()
    assert source.on_disconnect is not None
    source.on_disconnect()
    await follower
    gate.set()
    await leader
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)


async def test_follower_waits_no_longer_than_its_request_may_take() -> None:
    world = Cached(Response(ANSWER, gate=asyncio.Event()), timeout_s=0.05)
    leader = world.start()
    await turns()
    _, reply = await world.ask()
    assert isinstance(reply.error, errors.UpstreamTimeout)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)
