"""How long a client is sent nothing while its stream is silent. The time is the test's own."""

import asyncio
import itertools
from typing import cast

import pytest

from intellirouter.config.runtime import ServerSpec
from intellirouter.gateway import HttpRequest
from intellirouter.serving.request import Request
from intellirouter.serving.silence import Silence
from tests.unit.serving.test_connection import GET, World, settle

SWEEP_S = 0.5


class Client:
    """A client of a silent stream, and the times at which it is sent something."""

    def __init__(self, *, has_begun: bool = False, **limits: float) -> None:
        self.now_s = 1000.0
        self.started_s = self.now_s
        self.written_bytes = 100  # of an earlier response on the connection
        self.has_begun = has_begun
        self.pings_s: list[float] = []
        self._limits = ServerSpec(**limits)  # type: ignore[arg-type] # numbers of seconds
        self._silence = Silence(self._ping)

    def _ping(self) -> None:
        self.pings_s.append(self.now_s - self.started_s)
        self.has_begun = True
        self.written_bytes += 8

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds / SWEEP_S)):
            self._silence.check(self.now_s, self.written_bytes, self._limits, has_begun=self.has_begun)
            self.now_s += SWEEP_S


@pytest.mark.parametrize("has_begun", [False, True])
def test_five_minutes_of_silence_have_no_gap_as_long_as_the_timeout_of_a_proxy(*, has_begun: bool) -> None:
    client = Client(has_begun=has_begun)
    client.pass_time(300)
    times = [0.0, *client.pings_s, 300.0]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) <= 26
    assert min(gaps[:-1]) >= 15


def test_first_ping_comes_later_than_the_others() -> None:
    client = Client(first_ping_s=20, stream_ping_s=5)
    client.pass_time(31.5)
    assert client.pings_s == [20.0, 25.5, 31.0]


def test_stream_that_sends_is_not_pinged() -> None:
    client = Client(has_begun=True, stream_ping_s=5)
    for _ in range(20):
        client.written_bytes += 1
        client.pass_time(4.5)
    assert client.pings_s == []


@pytest.mark.parametrize(
    ("limits", "has_begun"),
    [
        ({"first_ping_s": 0.0}, False),
        ({"stream_ping_s": 0.0}, False),
        ({"stream_ping_s": 0.0}, True),
    ],
)
def test_zero_switches_pings_off(limits: dict[str, float], *, has_begun: bool) -> None:
    client = Client(has_begun=has_begun, **limits)
    client.pass_time(300)
    assert client.pings_s == []


def test_stream_is_pinged_after_its_content_even_if_not_before() -> None:
    client = Client(first_ping_s=0.0, stream_ping_s=5)
    client.pass_time(60)
    client.has_begun = True
    client.written_bytes += 50
    client.pass_time(6)
    assert client.pings_s == [65.0]


async def test_silent_response_is_pinged_until_it_ends() -> None:
    is_over = asyncio.Event()

    async def answer_late(request: HttpRequest) -> None:
        def ping() -> None:
            if not cast("Request", request).has_begun:
                request.begin(200, b"")
            request.ping(b"ping")

        request.keep_alive(ping)
        await is_over.wait()
        await request.write(b"first")
        await request.end(b"last")

    world = World(answer_late, first_ping_s=10.0, stream_ping_s=5.0)
    await world.send(GET)
    for seconds in (0, 9, 10, 10.5, 15.4, 15.6):
        world.pass_time(seconds)
    assert world.transport.sent.startswith(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n")
    assert world.transport.sent.count(b"4\r\nping\r\n") == 2
    is_over.set()
    await settle()
    assert world.transport.sent.endswith(b"4\r\nping\r\n5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n")
    world.pass_time(40)
    assert world.transport.sent.endswith(b"0\r\n\r\n")


async def test_slow_client_is_not_pinged() -> None:
    async def answer(request: HttpRequest) -> None:
        request.keep_alive(lambda: request.ping(b"ping"))
        request.begin(200, b"")
        await request.write(b"first")
        await asyncio.Event().wait()

    world = World(answer, stream_ping_s=5.0)
    await world.send(GET)
    world.pass_time(0)
    world.transport.unsent = 3
    world.pass_time(20)
    assert b"ping" not in world.transport.sent
    world.transport.unsent = 0
    world.pass_time(21)
    assert world.transport.sent.endswith(b"ping\r\n")


async def test_failed_ping_does_not_stop_the_other_checks(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    async def answer(request: HttpRequest) -> None:
        request.keep_alive(fail)
        await asyncio.Event().wait()

    world = World(answer, first_ping_s=5.0)
    await world.send(GET)
    for seconds in (0, 6, 12):
        world.pass_time(seconds)
    assert caplog.text.count("The response of /a cannot be kept alive.") == 1
