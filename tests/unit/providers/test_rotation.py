"""Several credentials of one provider: turns, rests, and moving on within an attempt."""

import hashlib
import json

import pytest

from intellirouter.core import Deployment, Secret, TaskOwner, UpstreamRequest, errors
from intellirouter.providers import UpstreamPool
from intellirouter.providers.auth import presenter
from intellirouter.providers.credential_rotation import Credential, Ring
from intellirouter.testing import FakeClock
from tests.support.providers.google import service_account
from tests.support.providers.loopback import Peer, answer, call, serving


class Vendor:
    """Answers by credential, and notes who asked."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def script(self, peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            who = head.partition("Bearer ")[2].partition("\r\n")[0]
            self.asked.append(who)
            await peer.send(self.answers.get(who, answer(who.encode())))


async def _status(pool: UpstreamPool, to: Deployment) -> int:
    response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
    await response.read(1000)
    return response.status


def _no(status: int, *headers: str) -> bytes:
    return answer(b'{"error": {}}', *headers, status=status)


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_a_refused_credential_gives_way_within_the_attempt_and_then_rests(
    pool: UpstreamPool, status: int
) -> None:
    vendor = Vendor(two=_no(status))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two", "three"))
        answers = [await call(pool, to) for _ in range(6)]
    assert answers[0] == b"three"
    assert vendor.asked[:2] == ["two", "three"]
    assert vendor.asked.count("two") == 1
    assert {b"one", b"three"} == set(answers)


async def test_403_rests_but_does_not_move_on(pool: UpstreamPool) -> None:
    vendor = Vendor(two=_no(403))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert [await _status(pool, to) for _ in range(4)] == [403, 200, 200, 200]
    assert vendor.asked == ["two", "one", "one", "one"]


@pytest.mark.parametrize("status", [400, 404, 408, 500, 503, 529])
async def test_other_answers_say_nothing_about_the_credential(pool: UpstreamPool, status: int) -> None:
    vendor = Vendor(one=_no(status, "retry-after: 60"), two=_no(status, "retry-after: 60"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert [await _status(pool, to) for _ in range(4)] == [status] * 4
    assert vendor.asked == ["two", "one"] * 2


async def test_when_all_are_refused_each_is_asked_once_and_the_last_answer_counts(pool: UpstreamPool) -> None:
    vendor = Vendor(one=_no(429, "x: 1"), two=_no(401), three=_no(429, "retry-after: 7"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two", "three"))
        response = await pool.send(to, UpstreamRequest(path="/x"))
        assert response.status == 429
        assert await response.read(100) == b'{"error": {}}'
        assert vendor.asked == ["two", "three", "one"]
        # All rest: still somebody is asked, the one whose rest ends first, and nobody else.
        assert await _status(pool, to) == 429
        assert vendor.asked == ["two", "three", "one", "one"]


async def test_a_credential_alone_is_asked_every_time(pool: UpstreamPool) -> None:
    vendor = Vendor(one=_no(401))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one",))
        assert [await _status(pool, to) for _ in range(3)] == [401] * 3
        [state] = pool.credential_states([to])
        assert (state.state, state.reason, state.refusals_in_a_row, state.uses) == ("resting", "unauthorized", 3, 3)
        vendor.answers.clear()
        assert await _status(pool, to) == 200
        [state] = pool.credential_states([to])
        assert (state.state, state.reason, state.refusals_in_a_row, state.rests_for_s) == ("ready", None, 0, 0.0)


async def test_after_its_rest_a_credential_takes_its_turn_again(pool: UpstreamPool) -> None:
    vendor = Vendor(two=_no(429, "retry-after: 30"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert await call(pool, to) == b"one"
        vendor.answers.clear()
        assert [await call(pool, to) for _ in range(2)] == [b"one"] * 2
        _rewind(pool, 31)
        assert {await call(pool, to) for _ in range(2)} == {b"one", b"two"}


def _rewind(pool: UpstreamPool, seconds: float) -> None:
    for credential in pool._book._credentials.values():
        credential.rests_until_s -= seconds


async def test_what_is_known_of_a_credential_survives_a_reload(pool: UpstreamPool) -> None:
    vendor = Vendor(two=_no(401))
    async with serving(vendor.script) as server:
        await call(pool, server.deployment(credentials=("one", "two")))
        reloaded = server.deployment(credentials=("two", "one", "three"))
        pool.forget(frozenset({id(reloaded)}))
        for _ in range(6):
            await call(pool, reloaded)
        assert vendor.asked.count("two") == 1
        states = pool.credential_states([reloaded])
    assert [each.state for each in states] == ["resting", "ready", "ready"]


async def test_a_changed_credential_begins_afresh_and_unused_ones_are_forgotten(pool: UpstreamPool) -> None:
    vendor = Vendor(old=_no(401))
    async with serving(vendor.script) as server:
        await _status(pool, server.deployment(credentials=("old",)))
        renewed = server.deployment(credentials=("new",))
        assert await _status(pool, renewed) == 200
        assert len(pool._book._credentials) == 2
        for ring in pool._book._rings.values():
            ring.used_s -= 4000
        _rewind(pool, 4000)
        pool.forget(frozenset())
        assert (pool._book._rings, pool._book._credentials) == ({}, {})


async def test_states_hold_no_part_of_a_credential_and_each_credential_once(pool: UpstreamPool) -> None:
    vendor = Vendor(**{"sk-secret-two": _no(402)})
    async with serving(vendor.script) as server:
        secrets = ("sk-secret-one", "sk-secret-two")
        to, other = server.deployment(credentials=secrets), server.deployment(credentials=secrets)
        await call(pool, to)
        first, second = pool.credential_states([to, other])
    assert (first.provider, first.index, first.state, first.uses) == ("test", 0, "ready", 1)
    assert (second.index, second.state, second.reason, second.uses) == (1, "resting", "payment required", 1)
    assert 590 < second.rests_for_s <= 600
    assert second.fingerprint == hashlib.sha256(b"sk-secret-two").hexdigest()[:8]
    assert "sk-" not in repr((first, second))


async def test_a_credential_that_no_token_is_to_be_had_for_gives_way(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            if head.startswith("POST /token"):
                await peer.send(answer(b'{"error": "invalid_grant"}', status=400))
            else:
                await peer.send(answer(head.partition("Bearer ")[2].partition("\r\n")[0].encode()))

    async with serving(script) as server:
        account = service_account(token_uri=server.base_url.replace("/v1", "/token"))
        to = server.deployment(auth="gcp", credentials=("ya29.good", account))
        assert [await call(pool, to) for _ in range(3)] == [b"ya29.good"] * 3
        alone = server.deployment(auth="gcp", credentials=(account,))
        with pytest.raises(errors.UpstreamAuthFailed, match="invalid_grant"):
            await call(pool, alone)


async def test_a_credential_that_its_scheme_cannot_use_is_told(pool: UpstreamPool) -> None:
    async with serving(Vendor().script) as server:
        with pytest.raises(errors.UpstreamAuthFailed, match="Google credential"):
            await call(pool, server.deployment(auth="gcp", credentials=(json.dumps({"type": "x"}),)))


# -- the ring by itself ------------------------------------------------------------------------------------------


async def _no_post(url: str, body: bytes) -> tuple[int, bytes]:
    raise AssertionError(f"{url} {body!r}")


def _ring(count: int) -> Ring:
    how = presenter("bearer", Secret("x"), _no_post, TaskOwner("test"), FakeClock())
    return Ring(tuple(Credential(str(number), how) for number in range(count)))


@pytest.mark.parametrize(
    ("status", "retry_after_s", "rests"),
    [
        (429, None, [5, 10, 20, 40, 80, 160, 320, 600, 600]),
        (429, 17.0, [17, 17, 17]),
        (429, 0.0, [1, 1]),
        (429, 1e9, [86_400]),
        (401, None, [600, 600]),
        (402, None, [600, 600]),
        (403, None, [60, 120, 240, 480, 600]),
    ],
)
def test_how_long_a_credential_rests(status: int, retry_after_s: float | None, rests: list[float]) -> None:
    ring = _ring(1)
    for rest_s in rests:
        ring.refuse(0, status, retry_after_s, 1000.0)
        assert ring.credentials[0].rests_until_s == 1000.0 + rest_s


def test_a_success_ends_the_growth_of_rests() -> None:
    ring = _ring(2)
    for _ in range(3):
        ring.refuse(0, 429, None, 0.0)
    ring.accept(0, 500)
    assert ring.credentials[0].refusals_in_a_row == 3
    ring.accept(0, 200)
    ring.refuse(0, 429, None, 0.0)
    assert ring.credentials[0].rests_until_s == 5.0


def test_turns_go_round_those_that_do_not_rest() -> None:
    ring = _ring(4)
    ring.refuse(2, 401, None, 0.0)
    assert [ring.pick(1.0) for _ in range(6)] == [3, 0, 1, 3, 0, 1]
    assert [ring.pick(601.0) for _ in range(4)] == [2, 3, 0, 1]
