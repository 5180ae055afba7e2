"""Several choices from an upstream that returns one: the request is sent in copies, whose responses are merged."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from intellirouter.core import Deployment, UpstreamRequest, errors
from intellirouter.dialects.adapt.choices import frame, read_frames
from intellirouter.pipeline.fan_out import send_copies
from tests.support.pipeline import Response, World, deployment, resolved

DOWN = errors.UpstreamUnavailable("down")
BROKEN = errors.UpstreamDisconnected("the connection broke")


def body(choices: int = 2, *, is_stream: bool = False) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return json.dumps({"model": "m", "n": choices, "stream": is_stream, "messages": messages}).encode()


def answer(text: str, **members: Any) -> Response:
    """Return the whole answer of an Anthropic upstream."""
    content = {
        "id": f"msg_{text}",
        "type": "message",
        "role": "assistant",
        "model": "up",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    return Response(json.dumps(content).encode(), **members)


def events(text: str) -> list[bytes]:
    """Return the events of the stream of an Anthropic upstream: beginning, text, end."""
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [], "stop_reason": None}
    delta = {"type": "text_delta", "text": text}
    groups: list[list[dict[str, Any]]] = [
        [
            {"type": "message_start", "message": {**start, "usage": {"input_tokens": 3, "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ],
        [{"type": "content_block_delta", "index": 0, "delta": delta}],
        [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ],
    ]
    return [
        b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in group) for group in groups
    ]


def world(*answers: Response | BaseException, pool: str = "a", **others: Any) -> World:
    return World(resolved(pool, dialects=("anthropic_messages",)), a=answers, **others)


def texts(world: World) -> list[str]:
    return [each["message"]["content"] for each in json.loads(world.reply.body)["choices"]]


def streamed_texts(world: World) -> dict[int, str]:
    """Return what the client received for each choice of a stream."""
    found: dict[int, str] = {}
    for line in world.reply.body.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line.removeprefix("data: "))["choices"]:
                found[choice["index"]] = found.get(choice["index"], "") + (choice["delta"].get("content") or "")
    return found


async def test_refusal_of_the_request_spares_the_credentials_of_all_copies() -> None:
    refused = [Response(b'{"error":{"message":"blocked by our content policy"}}', status=403) for _ in range(3)]
    one = world(*refused)
    await one.serve(body(3))
    assert one.record.status == 400
    assert all(each.spares_credential for each in refused)


class Copy(Response):
    """Records the limits of reads and the begin of the content. Nothing arrives before `arrival` is set."""

    def __init__(self, *chunks: bytes, **members: Any) -> None:
        super().__init__(*chunks, **members)
        self.limits: list[int] = []
        self.has_content = False
        self.arrival = asyncio.Event()
        self.arrival.set()

    async def read(self, limit_bytes: int, tenant: str = "") -> bytes:
        self.limits.append(limit_bytes)
        return await super().read(limit_bytes)

    async def next_chunk(self) -> bytes:
        await self.arrival.wait()
        return await super().next_chunk()

    def content_began(self, source: object = None) -> None:
        self.has_content = True


@asynccontextmanager
async def merged(*copies: Response) -> AsyncIterator[Any]:
    """Send copies and yield the merged response."""
    left = list(copies)

    class InOrder:
        async def send(self, deployment: Deployment, request: UpstreamRequest) -> Response:
            del deployment, request
            return left.pop(0)

    async with asyncio.timeout(5):
        yield await send_copies(InOrder(), deployment("a"), UpstreamRequest(path="/", copies=len(copies)))


async def test_each_copy_becomes_a_choice_in_order() -> None:
    copies = [answer("x"), answer("y"), answer("z")]
    here = world(*copies)
    await here.serve(body(3))
    assert texts(here) == ["x", "y", "z"]
    [sent] = {json.dumps(json.loads(each)) for _, each in here.upstream.sent}
    assert "n" not in json.loads(sent), "the copies are the same request, for one choice each"
    record = here.record
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (9, 6), "each copy is charged"
    assert [(each.outcome, each.status) for each in record.attempts] == [("ok", 200)]
    assert any("3 requests" in each for each in record.dropped)
    assert {each.outcome for each in copies} == {"aborted"}, "the connections of all copies are given up"


async def test_copies_are_sent_in_parallel() -> None:
    barrier = asyncio.Barrier(3)

    class Parallel:
        async def send(self, deployment: Deployment, request: UpstreamRequest) -> Response:
            del deployment, request
            await barrier.wait()
            return Response(b"")

    request = UpstreamRequest(path="/", copies=3)
    async with asyncio.timeout(5):
        response = await send_copies(Parallel(), deployment("a"), request)
    assert (response.status, list(response.headers)) == (200, [])


async def test_merged_response_has_the_headers_of_the_first_copy() -> None:
    copies = [Response(headers=[("x-request-id", name)]) for name in ("one", "two")]
    async with merged(*copies) as response:
        assert list(response.headers) == [("x-request-id", "one")]


@pytest.mark.parametrize("failing", [0, 1, 2])
async def test_failure_of_one_copy_is_a_failure_of_the_attempt(failing: int, caplog: pytest.LogCaptureFixture) -> None:
    copies: list[Response | BaseException] = [answer("x"), answer("y")]
    others = list(copies)
    copies.insert(failing, DOWN)
    here = world(*copies, pool="a b", b=[answer("1"), answer("2"), answer("3")])
    await here.serve(body(3))
    assert here.outcomes == ["upstream_unavailable", "ok"]
    assert texts(here) == ["1", "2", "3"]
    assert [each.outcome for each in others if isinstance(each, Response)] == ["aborted", "aborted"]
    assert here.board.of("a").failures == 1, "the copies are one attempt"
    assert "background task" not in caplog.text, "the failure is handled"


async def test_first_failure_is_reported() -> None:
    here = world(errors.UpstreamTimeout("slow"), DOWN)
    await here.serve(body())
    assert isinstance(here.reply.error, errors.UpstreamTimeout)


async def test_error_status_of_one_copy_is_the_response() -> None:
    ok = answer("x")
    first = Response(b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}', status=429)
    second = Response(b"{}", status=500)
    here = world(ok, first, second)
    await here.serve(body(3))
    assert isinstance(here.reply.error, errors.UpstreamRateLimited)
    assert "slow down" in here.reply.error.message
    assert [each.status for each in here.record.attempts] == [429]
    assert [each.outcome for each in (ok, first, second)] == ["aborted"] * 3


async def test_size_of_all_copies_together_is_limited() -> None:
    """The copies share the limit of one answer."""
    first, second = Copy(b"12345"), Copy(b"678")
    async with merged(first, second) as response:
        assert await response.read(100) == frame(0, b"12345") + frame(1, b"678")
    assert (first.limits, second.limits) == ([100], [95])
    async with merged(Copy(b"12345"), Copy(b"678")) as response:
        with pytest.raises(errors.UpstreamMalformed):
            await response.read(7)


async def test_disconnect_while_the_copies_are_sent_aborts_all_of_them() -> None:
    opened = answer("x")
    canceled: list[str] = []

    class Half:
        """One copy responds, the other does not, the third fails."""

        def __init__(self) -> None:
            self.sent = 0

        async def send(self, deployment: Deployment, request: UpstreamRequest) -> Response:
            del deployment, request
            self.sent += 1
            match self.sent:
                case 1:
                    return opened
                case 2:
                    raise DOWN
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                canceled.append("third")
                raise
            raise AssertionError

    task = asyncio.ensure_future(send_copies(Half(), deployment("a"), UpstreamRequest(path="/", copies=3)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done(), "no failure is reported before all copies have responded"
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert (opened.outcome, canceled) == ("aborted", ["third"])


async def test_stream_passes_chunks_on_as_they_arrive() -> None:
    """A slow copy does not delay the other one."""
    fast, slow = Copy(*events("x")), Copy(*events("y"))
    slow.arrival.clear()
    here = world(fast, slow)
    running = asyncio.ensure_future(here.serve(body(is_stream=True)))
    async with asyncio.timeout(5):
        while b'"stop"' not in here.reply.body:
            await asyncio.sleep(0)
    assert streamed_texts(here) == {0: "x"}
    slow.arrival.set()
    await running
    assert streamed_texts(here) == {0: "x", 1: "y"}
    assert here.reply.body.endswith(b"data: [DONE]\n\n")
    assert here.reply.error is None
    assert (fast.outcome, slow.outcome) == ("released", "released")
    assert here.record.usage is not None
    assert (here.record.usage.input_tokens, here.record.usage.output_tokens) == (6, 4)


async def test_copy_that_breaks_off_ends_the_stream_of_all(caplog: pytest.LogCaptureFixture) -> None:
    x, y = events("x"), events("y")
    whole, broken = Response(*x), Response(*y[:2], error=BROKEN)
    here = world(whole, broken)
    await here.serve(body(is_stream=True))
    assert here.events[-2:] == ["settle", "fail:upstream_disconnected"]
    assert (whole.outcome, broken.outcome) == ("aborted", "aborted")
    assert here.record.usage is not None, "what was produced is charged"
    assert here.board.of("a").failures == 1
    assert "background task" not in caplog.text, "the failure is handled"


async def test_canceled_stream_ends_all_reads_and_copies() -> None:
    gate = asyncio.Event()
    copies = [Response(*events(text)[:2], gate=gate) for text in "xy"]
    here = world(*copies)
    before = asyncio.all_tasks()
    running = asyncio.ensure_future(here.serve(body(is_stream=True)))
    async with asyncio.timeout(5):
        while streamed_texts(here) != {0: "x", 1: "y"}:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before, "no read continues"
    assert [each.outcome for each in copies] == ["aborted", "aborted"]
    assert here.outcomes == ["overloaded"]


async def test_timeouts_of_all_copies_change_when_the_content_begins() -> None:
    copies = [Copy(), Copy()]
    async with merged(*copies) as response:
        response.content_began()
    assert [each.has_content for each in copies] == [True, True]


async def test_stream_ends_after_each_copy_has_ended() -> None:
    async with merged(Response(b"1"), Response(b"2", b"3")) as response:
        chunks = b""
        while chunk := await response.next_chunk():
            chunks += chunk
        assert await response.next_chunk() == b""
    frames = list(read_frames(chunks))
    assert [data for copy, data in frames if copy == 0] == [b"1", b""]
    assert [data for copy, data in frames if copy == 1] == [b"2", b"3", b""]
