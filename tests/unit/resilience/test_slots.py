"""Slots of deployments: never more than the limit, none is lost, and waiting has a bound and an end."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import ConcurrencyPolicy, Priority, QueuePolicy, SlotPolicy
from intellirouter.resilience import WAIT_BOUNDS_S, Refusal, Slots, Waiter, WaitTimes

PRIORITIES: tuple[Priority, ...] = ("interactive", "normal", "batch")


def policy(limit: int = 1, **queue: Any) -> SlotPolicy:
    return SlotPolicy(concurrency=ConcurrencyPolicy(max=limit), queue=QueuePolicy(**queue))


def slots(limit: int = 1, *, held: int = 0, name: str = "a", **queue: Any) -> Slots:
    return Slots(name, policy(limit, **queue), held)


class Request:
    """A request that takes a slot, or waits for one."""

    def __init__(self, tenant: str = "t", priority: Priority = "normal", **members: Any) -> None:
        self.woken = 0
        self.waiter = Waiter(tenant, priority, self._wake, **members)

    def _wake(self) -> None:
        self.woken += 1

    def join(self, *places: Slots, patience_s: float = 10.0, now_s: float = 0.0) -> "Request":
        self.waiter.join(places, patience_s, now_s)
        return self

    @property
    def reason(self) -> str | None:
        refusal = self.waiter.refusal
        return None if refusal is None else refusal.reason

    @property
    def granted(self) -> str | None:
        by = self.waiter.granted_by
        return None if by is None else by.name


def serve(one: Slots, durations_s: list[float], at_s: float = 0.0) -> float:
    """Take and release the only slot so often; return the time of the last release."""
    for duration_s in durations_s:
        assert one.take("x", at_s)
        at_s += duration_s
        one.release("x", at_s)
    return at_s


def test_slots_are_taken_up_to_the_limit() -> None:
    one = slots(2)
    assert [one.take("t", 0.0) for _ in range(3)] == [True, True, False]
    assert (one.held, one.is_full) == (2, True)
    one.release("t", 1.0)
    assert (one.held, one.is_full, one.take("t", 1.0)) == (1, False, True)


def test_released_slot_goes_to_who_waits_and_not_to_a_newcomer() -> None:
    one = slots()
    one.take("t", 0.0)
    first, second = Request().join(one), Request().join(one)
    assert (one.waiting, first.waiter.is_waiting) == (2, True)
    one.release("t", 0.3)
    assert (first.granted, first.woken, second.granted, one.held, one.waiting) == ("a", 1, None, 1, 1)
    assert not one.take("t", 0.3)
    assert (one.waits.sum_s, sum(one.waits.counts), one.waits.counts[6]) == (0.3, 1, 1)


def test_request_waits_for_the_first_slot_of_several_deployments() -> None:
    one, other = slots(), slots(name="b")
    one.take("t", 0.0), other.take("t", 0.0)
    request = Request().join(one, other)
    assert (one.waiting, other.waiting) == (1, 1)
    other.release("t", 1.0)
    assert (request.granted, request.woken, one.waiting, other.waiting) == ("b", 1, 0, 0)
    one.release("t", 2.0)
    assert (one.held, other.held) == (0, 1)


def test_canceled_request_leaves_all_queues_and_gives_back_what_it_was_granted() -> None:
    one, other = slots(), slots(name="b")
    one.take("t", 0.0), other.take("t", 0.0)
    first, second = Request().join(one, other), Request().join(one)
    first.waiter.leave(1.0)
    assert (one.waiting, other.waiting, first.woken) == (1, 0, 0)
    one.release("t", 1.0)
    third = Request().join(one)
    second.waiter.leave(2.0)  # granted, but canceled before it could begin
    assert (third.granted, one.held) == ("a", 1)


def test_queue_is_bounded_and_says_when_to_come_back() -> None:
    one = slots(max=2)
    one.take("t", 0.0)
    requests = [Request().join(one) for _ in range(3)]
    assert [each.reason for each in requests] == [None, None, "queue_full"]
    assert requests[2].waiter.refusal == Refusal("queue_full", 1.0)
    assert (requests[2].woken, one.waiting, one.refusals) == (1, 2, Counter(queue_full=1))
    assert Request().join(slots(max=0)).reason == "queue_full"


def test_flood_of_one_tenant_does_not_keep_others_out_of_the_queue() -> None:
    one = slots(max=4)
    one.take("flood", 0.0)
    flood = [Request("flood").join(one) for _ in range(4)]
    other = Request("other").join(one)
    assert [each.reason for each in flood] == [None, None, None, "queue_full"]
    assert flood[3].woken == 1
    one.release("flood", 1.0)
    assert other.granted == "a"


def test_request_that_loses_one_of_its_places_waits_for_the_others() -> None:
    one, other = slots(max=1), slots(max=1, name="b")
    one.take("t", 0.0), other.take("t", 0.0)
    both = Request("t", "batch").join(one, other)
    urgent = Request("t", "interactive").join(one)
    assert (both.waiter.is_waiting, one.waiting, other.waiting) == (True, 1, 1)
    Request("t", "interactive").join(other)
    assert (both.reason, urgent.waiter.is_waiting) == ("queue_full", True)


def test_who_would_wait_too_long_is_refused_at_once_with_the_time_to_come_back() -> None:
    one = slots()
    now_s = serve(one, [4.0] * 8)
    one.take("t", now_s)
    waiting = [Request().join(one, now_s=now_s) for _ in range(3)]
    assert [each.reason for each in waiting] == [None, None, "too_long"]
    assert waiting[2].waiter.refusal == Refusal("too_long", 2.0, 12.0)
    later = Request().join(one, now_s=now_s + 3)  # the request that has the slot has used three of four seconds
    assert later.waiter.is_waiting


def test_several_deployments_drain_faster() -> None:
    one, other = slots(), slots(name="b")
    for each in (one, other):
        each.take("t", serve(each, [12.0] * 8))
    assert Request().join(one, now_s=96.0).reason == "too_long"
    assert Request().join(one, other, now_s=96.0).waiter.is_waiting


def test_nobody_is_refused_before_the_drain_rate_is_known() -> None:
    one = slots()
    one.take("t", serve(one, [100.0] * 7))
    assert Request().join(one, now_s=700.0).waiter.is_waiting


def test_idle_times_do_not_count_as_drain_rate() -> None:
    one, now_s = slots(), 0.0
    for _ in range(10):
        now_s = serve(one, [1.0], now_s) + 1000.0
    one.take("t", now_s)
    assert Request().join(one, now_s=now_s).waiter.is_waiting


def test_giving_up_tells_when_to_come_back() -> None:
    one = slots()
    one.take("t", serve(one, [4.0] * 8))
    request = Request().join(one, now_s=32.0)
    request.waiter.give_up(34.0)
    assert request.waiter.refusal == Refusal("timeout", 6.0)
    request.waiter.give_up(35.0)
    assert (request.woken, one.waiting, one.refusals) == (1, 0, Counter(timeout=1))


def test_closing_refuses_all_who_wait_and_those_who_come() -> None:
    one, other = slots(), slots(name="b")
    one.take("t", 0.0), other.take("t", 0.0)
    both, single = Request().join(one, other), Request().join(one)
    one.close()
    assert (both.reason, single.reason) == (None, "stopping")
    other.close()
    assert (both.reason, Request().join(one).reason, one.waiting + other.waiting) == ("stopping", "stopping", 0)
    one.release("t", 1.0)
    assert one.take("t", 1.0)  # a free slot is used until the end


def test_reload_keeps_slots_and_places() -> None:
    one = slots(1)
    one.take("t", 0.0)
    requests = [Request().join(one) for _ in range(4)]
    one.apply(policy(3), 1.0)
    assert [each.granted for each in requests] == ["a", "a", None, None]
    one.apply(policy(1), 2.0)
    one.release("t", 3.0)
    assert (one.held, requests[2].granted) == (2, None)
    one.apply(None, 4.0)
    assert (one.held, requests[3].granted, one.limit, one.is_full) == (4, "a", None, False)
    one.apply(policy(1), 5.0)
    assert (one.held, one.is_full) == (4, True)


def test_slots_that_begin_with_requests_in_flight_count_them() -> None:
    one = slots(2, held=3)
    one.release("t", 1.0)
    assert not one.take("t", 1.0)
    one.release("t", 2.0)
    assert one.take("t", 2.0)
    assert one.held == 2


def test_adaptive_limit_that_grows_lets_requests_in_with_the_next_release() -> None:
    one = Slots("a", SlotPolicy(concurrency=ConcurrencyPolicy(adaptive=True, initial=10), queue=QueuePolicy()))
    for _ in range(10):
        one.take("t", 0.0)
    requests = [Request().join(one) for _ in range(3)]
    for number in range(20):
        one.note_success(100.0, number - 0.1, float(number), is_stream=True)
    one.release("t", 20.0)
    assert (one.held, [each.granted for each in requests]) == (11, ["a", "a", None])
    one.note_overload(20.0, 21.0)
    one.release("t", 21.0)
    assert (one.held, requests[2].granted) == (10, None)


def test_waits_are_counted_in_buckets() -> None:
    waits = WaitTimes()
    for wait_s in (0.3, 0.5, 0.5001, 301.0):
        waits.add(wait_s)
    assert len(waits.counts) == len(WAIT_BOUNDS_S) + 1
    assert (waits.counts[6], waits.counts[7], waits.counts[-1], sum(waits.counts)) == (2, 1, 1, 4)
    assert waits.sum_s == pytest.approx(302.3001)


def test_wait_is_measured_from_the_beginning() -> None:
    one = slots()
    one.take("t", 5.0)
    Request().join(one, now_s=5.0)
    one.release("t", 5.25)
    assert one.waits.sum_s == 0.25


def test_request_that_had_a_slot_goes_first() -> None:
    one = slots()
    one.take("t", 0.0)
    usual, resumed = Request().join(one), Request(is_resumed=True).join(one)
    one.release("t", 1.0)
    assert (usual.granted, resumed.granted) == (None, "a")


def test_request_moves_up_after_a_third_of_the_longest_wait() -> None:
    one = slots(max_wait_s=9.0)
    one.take("t", 0.0)
    low = Request("x", "batch").join(one, now_s=0.0)
    normal = [Request("y").join(one, now_s=2.0) for _ in range(2)]
    one.release("t", 2.9)
    assert normal[0].granted == "a"
    one.release("y", 3.0)
    assert (normal[1].granted, low.granted) == ("a", None)  # y has been waiting for its turn longer
    late = Request("y").join(one, now_s=3.0)
    one.release("y", 3.1)
    assert (low.granted, late.granted) == ("a", None)


def test_tenants_are_forgotten_when_they_use_no_slot() -> None:
    one, other = slots(2), slots(name="b")
    other.take("x", 0.0)
    one.take("x", 0.0)
    one.take("y", 0.0)
    waiting = Request("z").join(one, other)
    canceled = Request("z").join(one)
    one.release("x", 1.0)
    one.release("y", 1.0)
    assert (waiting.granted, canceled.granted) == ("a", "a")
    canceled.waiter.leave(2.0)
    one.release("z", 2.0)
    assert (one.held, one._queue._running) == (0, {})


def busy(one: Slots, seconds: float, times: int, at_s: float = 0.0) -> float:
    """Serve so many requests, each of which takes so long, while others wait."""
    one.take("x", at_s)
    for _ in range(times):
        Request("x").join(one, patience_s=1e9, now_s=at_s)
    for _ in range(times):
        at_s += seconds
        one.release("x", at_s)
    return at_s


def test_drain_rate_is_measured_while_requests_wait() -> None:
    one = slots()
    now_s = busy(one, 2.0, 8)
    assert one.expected_wait_s(Request().waiter, now_s) == 2.0
    assert one.expected_wait_s(Request().waiter, now_s + 1.5) == 0.5
    assert one.expected_wait_s(Request().waiter, now_s + 3.0) == 0.0
    one.release("x", now_s + 2.0)
    assert one.expected_wait_s(Request().waiter, now_s + 2.0) == 0.0  # there is a free slot


def test_drain_rate_is_that_of_the_last_64_releases() -> None:
    one = slots()
    now_s = busy(one, 50.0, 40)
    one.release("x", now_s)
    now_s = busy(one, 1.0, 64, now_s)
    assert one.expected_wait_s(Request().waiter, now_s) == 1.0


def test_lower_limit_after_a_reload_is_measured_from_the_reload() -> None:
    one = slots(2)
    one.take("t", 0.0)
    one.apply(policy(1), 100.0)
    one.release("t", 103.0)
    assert list(one._intervals_s) == [3.0]
    one.apply(policy(2), 200.0)
    one.take("t", 200.0)
    one.release("t", 205.0)
    assert list(one._intervals_s) == [3.0]


def test_expected_wait_as_long_as_the_patience_is_not_too_long() -> None:
    one = slots()
    now_s = busy(one, 4.0, 8)
    assert Request().join(one, patience_s=4.0, now_s=now_s).waiter.is_waiting
    assert Request().join(one, patience_s=7.9, now_s=now_s).reason == "too_long"


def test_one_deployment_with_an_unknown_drain_rate_is_enough_to_wait() -> None:
    one, other = slots(), slots(name="b")
    now_s = busy(one, 40.0, 8)
    other.take("t", now_s)
    assert Request().join(one, other, patience_s=1.0, now_s=now_s).waiter.is_waiting


def test_refusals_of_a_full_queue_tell_when_to_come_back() -> None:
    one = slots()
    now_s = busy(one, 3.0, 8)
    one.apply(policy(1, max=2), now_s)
    first, second = (Request("x").join(one, patience_s=99, now_s=now_s) for _ in range(2))
    refused = [Request("x").join(one, patience_s=99, now_s=now_s) for _ in range(2)]
    assert [each.waiter.refusal for each in refused] == [Refusal("queue_full", 9.0)] * 2
    Request("y").join(one, patience_s=99, now_s=now_s)
    assert (first.reason, second.waiter.refusal) == (None, Refusal("queue_full", 9.0))
    assert one.refusals == Counter(queue_full=3)


SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from(("arrive", "arrive", "release", "release", "cancel", "give_up", "reload", "later")),
        st.integers(0, 40),
        st.sampled_from("xyz"),
        st.integers(0, 2),
        st.sampled_from(("a", "b", "ab")),
    ),
    max_size=120,
)


class Traffic:
    """Requests of three tenants for two deployments, with what they hold and wait for."""

    def __init__(self, limit: int, room: int) -> None:
        self.room = room
        self.places = {name: slots(limit, max=room, name=name) for name in "ab"}
        self.limits = dict.fromkeys("ab", limit)
        self.running: list[tuple[Slots, str]] = []
        self.waiting: list[Request] = []
        self.now_s = 0.0

    def arrive(self, _: int, tenant: str, rank: int, names: str) -> None:
        wanted = [self.places[name] for name in names]
        free = next((each for each in wanted if each.take(tenant, self.now_s)), None)
        if free is not None:
            self.running.append((free, tenant))
        else:
            self.waiting.append(Request(tenant, PRIORITIES[rank]).join(*wanted, now_s=self.now_s))

    def release(self, number: int, *_: Any) -> None:
        if self.running:
            one, tenant = self.running.pop(number % len(self.running))
            one.release(tenant, self.now_s)

    def cancel(self, number: int, *_: Any) -> None:
        if self.waiting:
            self.waiting.pop(number % len(self.waiting)).waiter.leave(self.now_s)

    def give_up(self, number: int, *_: Any) -> None:
        if self.waiting:
            self.waiting[number % len(self.waiting)].waiter.give_up(self.now_s)

    def reload(self, number: int, _tenant: str, _rank: int, names: str) -> None:
        name = names[0]
        self.limits[name] = 1 + number % 3
        self.places[name].apply(policy(self.limits[name], max=self.room), self.now_s)

    def later(self, number: int, *_: Any) -> None:
        self.now_s += number / 4

    def collect(self) -> None:
        """Let the requests run that have been granted a slot, and forget the refused ones."""
        for request in [each for each in self.waiting if not each.waiter.is_waiting]:
            assert request.woken == 1
            self.waiting.remove(request)
            if (by := request.waiter.granted_by) is not None:
                self.running.append((by, request.waiter.tenant))

    def check(self, held_before: Counter[str]) -> None:
        held = Counter(each.name for each, _ in self.running)
        for name, one in self.places.items():
            assert one.held == held[name]
            assert one.held <= max(self.limits[name], held_before[name])  # a lower limit takes no slot away
            assert one.waiting <= self.room
            assert not (one.waiting and one.has_room)  # no lost wake-up


@given(SCRIPTS, st.integers(1, 3), st.integers(0, 4))
def test_slots_are_neither_exceeded_nor_lost_whatever_happens(
    script: list[tuple[str, int, str, int, str]], limit: int, room: int
) -> None:
    traffic = Traffic(limit, room)
    for action, *details in script:
        held_before = Counter(each.name for each, _ in traffic.running)
        getattr(traffic, action)(*details)
        traffic.collect()
        traffic.check(held_before)
    while traffic.running:
        traffic.release(0)
        traffic.collect()
    assert traffic.waiting == []
    assert [each._queue._running for each in traffic.places.values()] == [{}, {}]
    assert all((each.held, each.waiting) == (0, 0) for each in traffic.places.values())
