"""Identical requests in flight: what followers get, and what is kept for them."""

import asyncio

import pytest

from intellirouter.cache import Flight, Flights, Lagging, Landing
from intellirouter.core import errors

KEY = b"k"
LANDED = Landing(content_type=b"text/plain", finish_reason="stop", losses=(), cost_microusd=1)
BROKEN = errors.UpstreamDisconnected("The connection broke.")
WINDOW = 256 * 1024


def flights(max_bytes: int = 10_000_000, max_entry_bytes: int = 1_000_000, window_s: float = 5.0) -> Flights:
    found = Flights()
    found.apply(max_bytes=max_bytes, max_entry_bytes=max_entry_bytes, window_s=window_s)
    return found


def lead(owner: Flights, now_s: float = 0.0) -> Flight:
    return owner.lead(KEY, "req_1", now_s, can_be_joined=True)


async def test_follower_gets_everything_from_the_beginning() -> None:
    owner = flights()
    flight = lead(owner)
    flight.take(b"a")
    flight.take(b"b")
    follower = flight.join()
    assert await follower.begun()
    assert (await follower.next(), follower.has_all) == (b"ab", True)
    waiting = asyncio.create_task(follower.next())
    await asyncio.sleep(0)
    flight.take(b"c")
    assert await waiting == b"c"
    flight.land(LANDED)
    assert (await follower.next(), await follower.ended()) == (b"", LANDED)
    follower.leave()
    follower.leave()
    assert (owner.used_bytes, len(owner), flight.followers) == (0, 0, 0)


@pytest.mark.parametrize(("now_s", "is_joined"), [(4.9, True), (5.0, False)])
def test_window(now_s: float, is_joined: bool) -> None:
    owner = flights()
    flight = lead(owner)
    assert owner.joinable(KEY, now_s) is (flight if is_joined else None)


def test_without_a_window_nothing_can_be_joined() -> None:
    owner = flights(window_s=0.0)
    lead(owner)
    assert owner.joinable(KEY, 0.0) is None


def test_newer_request_replaces_an_older_one_and_survives_its_end() -> None:
    owner = flights()
    old = lead(owner)
    new = lead(owner, 9.0)
    old.land(LANDED)
    assert owner.joinable(KEY, 9.0) is new


async def test_failure_before_the_first_piece_and_after_it() -> None:
    owner = flights()
    empty, begun = lead(owner), lead(owner, 9.0)
    begun.take(b"a")
    first, second = empty.join(), begun.join()
    empty.fail(BROKEN, None)
    begun.fail(BROKEN, b"event")
    assert (await first.begun(), await second.begun()) == (False, True)
    assert (await second.ended(), begun.error, begun.error_event) == (None, BROKEN, b"event")
    begun.land(LANDED)
    assert begun.landing is None, "the first end counts"


def test_answer_that_is_too_large_is_not_kept_without_followers() -> None:
    owner = flights(max_entry_bytes=10)
    flight = lead(owner)
    for _ in range(5):
        flight.take(b"12345")
    assert (flight.is_partial, flight.pieces, owner.used_bytes) == (True, [], 0)
    assert owner.joinable(KEY, 0.0) is None


def test_all_answers_that_arrive_share_a_limit() -> None:
    owner = flights(max_bytes=12)
    one, two = lead(owner), lead(owner)
    one.take(b"1234567890")
    two.take(b"1234567890")
    assert (one.is_partial, two.is_partial, owner.used_bytes) == (False, True, 10)


async def test_follower_that_lags_behind_the_window_has_lost_pieces() -> None:
    owner = flights(max_entry_bytes=WINDOW)
    flight = lead(owner)
    quick, slow = flight.join(), flight.join()
    for number in range(40):
        flight.take(b"%d" % (number % 10) * 10_000)
        assert len(await quick.next()) == 10_000
        assert owner.used_bytes <= WINDOW + 10_000
    with pytest.raises(Lagging):
        await slow.next()


async def test_whole_answer_beyond_the_limit_reaches_its_followers() -> None:
    owner = flights(max_entry_bytes=10)
    flight = lead(owner)
    follower = flight.join()
    flight.take(b"x" * 1_000_000)
    flight.land(LANDED)
    assert await follower.ended() == LANDED
    assert len(flight.pieces[0]) == 1_000_000
    follower.leave()
    assert owner.used_bytes == 0


def test_last_follower_that_leaves_ends_a_request_without_a_client() -> None:
    owner = flights()
    flight = lead(owner)
    ended: list[int] = []
    flight.cancel = lambda: ended.append(1)
    one, two = flight.join(), flight.join()
    one.leave()
    assert (flight.has_followers(), ended) == (True, [])
    two.leave()
    assert (flight.has_followers(), ended) == (False, [1])


@pytest.mark.parametrize("is_followed", [False, True])
async def test_ended_flight_keeps_neither_the_request_nor_the_answer(is_followed: bool) -> None:
    flight = lead(flights())
    follower = flight.join() if is_followed else None
    flight.cancel = lambda: None
    flight.take(b"answer")
    flight.land(LANDED)
    if follower is not None:
        assert await follower.next() == b"answer"
        follower.leave()
    assert (flight.cancel, flight.pieces) == (None, [])
