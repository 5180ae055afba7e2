"""How long a client is sent nothing while its stream is silent. The time is the test's own."""

import itertools

import pytest

from intellirouter.config.runtime import ServerSpec
from intellirouter.serving.silence import Silence

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
