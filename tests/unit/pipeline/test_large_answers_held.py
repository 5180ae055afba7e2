"""A large answer counts until its client has read it, or its request has ended in another way."""

import asyncio
import json

import pytest

from intellirouter.pipeline import Exchange
from tests.support.pipeline import ANSWER, Reply, Response, World, resolved


def answer_of(size: int) -> bytes:
    document = json.loads(ANSWER)
    document["choices"][0]["message"]["content"] = "x" * size
    return json.dumps(document).encode()


LARGE = answer_of(200_000)


class SlowReply(Reply):
    """Waits in the middle of a complete answer, as for a client that does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waiting, self.is_read = asyncio.Event(), asyncio.Event()

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:
        await super().complete(status, exchange, body, content_type)
        self.is_waiting.set()
        await self.is_read.wait()


async def serve_slowly(world: World) -> "asyncio.Task[Exchange]":
    world.reply = SlowReply()
    task = asyncio.ensure_future(world.serve())
    await asyncio.wait_for(world.reply.is_waiting.wait(), 5)
    return task


async def test_answer_counts_until_it_has_been_read() -> None:
    world = World(a=Response(LARGE))
    task = await serve_slowly(world)
    assert world.answers.used_bytes == len(LARGE)
    assert isinstance(world.reply, SlowReply)
    world.reply.is_read.set()
    await task
    assert world.answers.used_bytes == 0


async def test_answer_counts_no_longer_when_the_client_leaves() -> None:
    task = await serve_slowly(world := World(a=Response(LARGE)))
    task.cancel()
    await asyncio.wait([task])
    assert world.answers.used_bytes == 0


async def test_small_answer_is_not_counted() -> None:
    task = await serve_slowly(world := World(a=Response(ANSWER)))
    assert world.answers.used_bytes == 0
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("body", [LARGE[:-9], b"[" + LARGE, LARGE.replace(b"choices", b"nothing")])
async def test_answer_that_cannot_be_used_is_not_counted(body: bytes) -> None:
    world = World(resolved("a", "b"), a=[Response(body)], b=[Response(LARGE)])
    exchange = await world.serve()
    assert len(exchange.attempts) == 2
    assert world.answers.used_bytes == 0
