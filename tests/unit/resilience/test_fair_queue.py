"""The queue serves priorities first, tenants fairly, and lets nobody wait forever."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from intellirouter.resilience.fair_queue import FairQueue

HIGH, NORMAL, LOW = range(3)
NEVER_S = 1e9


def queue(*waiting: tuple[str, int]) -> FairQueue[str]:
    """Return a queue with requests of these tenants and ranks; their names are tenant and number: `a0`."""
    one: FairQueue[str] = FairQueue()
    for tenant, rank in waiting:
        add(one, tenant, rank)
    return one


def add(one: FairQueue[str], tenant: str, rank: int = NORMAL, now_s: float = 0.0, *, is_first: bool = False) -> str:
    numbers = [int(each[1:]) for each in one if each[0] == tenant]
    name = f"{tenant}{max(numbers, default=-1) + 1}"
    one.add(name, tenant, rank, now_s, is_first=is_first)
    return name


def drain(one: FairQueue[str], *, now_s: float = 0.0, age_s: float = NEVER_S, slots_end: bool = True) -> str:
    served = []
    while (name := one.pop(now_s, age_s)) is not None:
        served.append(name)
        one.start(name[0])
        if slots_end:
            one.end(name[0])
    return " ".join(served)


def test_one_tenant_is_served_in_order() -> None:
    one = queue(("a", NORMAL), ("a", NORMAL), ("a", NORMAL))
    assert (len(one), "a1" in one) == (3, True)
    assert drain(one) == "a0 a1 a2"
    assert (len(one), "a1" in one, one.pop(0.0, NEVER_S)) == (0, False, None)


def test_tenants_take_turns() -> None:
    assert drain(queue(*[("a", NORMAL)] * 4, *[("b", NORMAL)] * 2, ("c", NORMAL))) == "a0 b0 c0 a1 b1 a2 a3"


def test_tenant_that_uses_fewer_slots_is_next() -> None:
    one = queue(("a", NORMAL), ("b", NORMAL), ("a", NORMAL))
    one.start("a")
    one.start("a")
    one.start("b")
    assert one.pop(0.0, NEVER_S) == "b0"
    one.end("a")
    one.end("a")
    assert drain(one) == "a0 a1"


def test_higher_priority_is_served_first() -> None:
    assert drain(queue(("a", LOW), ("b", NORMAL), ("c", HIGH), ("a", HIGH))) == "c0 a1 b0 a0"


def test_who_waits_too_long_moves_up_one_rank_at_a_time() -> None:
    one = queue()

    def serve(now_s: float) -> str | None:
        name = one.pop(now_s, 10.0)
        if name is not None:
            one.start(name[0])
            one.end(name[0])
        return name

    add(one, "a", LOW, 0.0)
    add(one, "a", LOW, 0.5)
    for _ in range(4):
        add(one, "b", NORMAL, 9.0)
    assert [serve(9.9), serve(10.0), serve(10.0)] == ["b0", "b1", "a0"]  # at 10, a0 takes turns with b
    assert [serve(10.4), serve(10.5), serve(10.5)] == ["b2", "b3", "a1"]
    add(one, "a", NORMAL, 20.0)
    add(one, "c", HIGH, 29.0)
    add(one, "c", HIGH, 29.0)
    assert [serve(29.9), serve(30.0), serve(30.0)] == ["c0", "c1", "a0"]


def test_request_moves_up_to_the_highest_rank_in_two_steps() -> None:
    one = queue()
    add(one, "a", LOW, 0.0)
    for number in range(6):
        add(one, "b", HIGH, float(number))
    assert [one.pop(now_s, 10.0) for now_s in (10.0, 19.9)] == ["b0", "b1"]
    one.start("b")
    assert one.pop(20.0, 10.0) == "a0"


def test_slots_are_counted_by_tenant() -> None:
    one = queue()
    for tenant in "aaabb":
        one.start(tenant)
    assert one._running == {"a": 3, "b": 2}
    one.end("a")
    one.end("a")
    one.end("c")
    assert one._running == {"a": 1, "b": 2}
    add(one, "b")
    add(one, "a")
    assert one.pop(0.0, NEVER_S) == "a0"
    add(one, "a")
    one.start("a")
    one.start("a")
    assert one.pop(0.0, NEVER_S) == "b0"
    for tenant in "abab":
        one.end(tenant)
    assert one._running == {"a": 1}


def test_request_that_had_a_slot_goes_before_the_others_of_its_tenant() -> None:
    one = queue(("a", NORMAL), ("a", NORMAL), ("b", NORMAL))
    add(one, "a", is_first=True)
    assert drain(one) == "a2 b0 a0 a1"


def test_removed_requests_leave_nothing_behind() -> None:
    one = queue(("a", NORMAL), ("a", LOW), ("b", HIGH))
    for name in ("a0", "a1", "b0", "b0", "unknown"):
        one.remove(name)
    assert len(one) == 0
    assert drain(one) == ""
    one.end("a")  # a slot that was not counted
    assert (one._tenants, one._running) == ({}, {})


def test_requests_ahead_are_those_of_higher_ranks_and_a_fair_share_of_the_same() -> None:
    one = queue(*[("a", NORMAL)] * 10, ("b", NORMAL), ("c", HIGH))
    assert one.ahead_of("b", NORMAL) == 1 + 1 + 2
    assert one.ahead_of("d", NORMAL) == 1 + 2
    assert one.ahead_of("a", NORMAL) == 1 + 11
    assert one.ahead_of("d", HIGH) == 1
    assert one.ahead_of("d", LOW) == 12


def test_room_is_made_by_the_lowest_rank_and_the_longest_line() -> None:
    one = queue(*[("a", NORMAL)] * 3, ("b", NORMAL))
    assert one.newest_of_longest("c", NORMAL) == "a2"
    assert one.newest_of_longest("b", NORMAL) == "a2"
    assert one.newest_of_longest("a", NORMAL) is None
    assert one.newest_of_longest("c", LOW) is None
    assert one.newest_of_longest("a", HIGH) == "a2"
    one.remove("a2")
    assert one.newest_of_longest("b", NORMAL) is None
    low = add(one, "b", LOW)
    assert one.newest_of_longest("a", NORMAL) == low
    assert queue().newest_of_longest("a", NORMAL) is None
    assert queue(("a", NORMAL)).newest_of_longest("b", NORMAL) is None
    assert queue(*[("a", NORMAL)] * 2).newest_of_longest("b", NORMAL) == "a1"


TENANTS = st.sampled_from("abcd")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), TENANTS, st.integers(0, 2)),
        st.tuples(st.just("remove"), TENANTS, st.integers(0, 30)),
        st.tuples(st.just("pop"), TENANTS, st.integers(0, 3)),
        st.tuples(st.just("end"), TENANTS, st.just(0)),
    ),
    max_size=80,
)


@given(OPERATIONS)
def test_every_pop_serves_the_best_rank_and_the_tenant_with_the_fewest_slots(
    operations: list[tuple[str, str, int]],
) -> None:
    one: FairQueue[int] = FairQueue()
    waiting: dict[int, tuple[str, int]] = {}
    running: Counter[str] = Counter()
    for number, (operation, tenant, value) in enumerate(operations):
        if operation == "add":
            one.add(number, tenant, value, 0.0)
            waiting[number] = (tenant, value)
        elif operation == "remove":
            one.remove(value)
            waiting.pop(value, None)
        elif operation == "end":
            if running[tenant]:
                running[tenant] -= 1
                one.end(tenant)
        else:
            popped = one.pop(0.0, NEVER_S)
            assert (popped is None) == (not waiting)
            if popped is not None:
                own, rank = waiting.pop(popped)
                assert all(rank <= other for _, other in waiting.values())
                rivals = [each for each, other in waiting.values() if other == rank]
                assert all(running[own] <= running[each] for each in rivals)
                older = [each for each, pair in waiting.items() if pair == (own, rank) and each < popped]
                assert older == []
                running[own] += 1
                one.start(own)
        assert len(one) == len(waiting)
    for number in waiting:
        one.remove(number)
    for tenant in list(running.elements()):
        one.end(tenant)
    assert (one._tenants, one._running) == ({}, {})


@given(st.lists(TENANTS, min_size=1, max_size=60), st.integers(1, 8))
def test_tenants_with_enough_requests_are_served_equally_often(extra: list[str], limit: int) -> None:
    """Whatever the order of arrival, backlogged tenants differ by at most one request."""
    one: FairQueue[int] = FairQueue()
    backlog = ["a"] * 60 + ["b"] * 60 + ["c"] * 60
    for number, tenant in enumerate([*extra, *backlog]):
        one.add(number, tenant, NORMAL, 0.0)
    names = dict(enumerate([*extra, *backlog]))
    served: Counter[str] = Counter()
    running: list[str] = []
    for _ in range(100):
        if len(running) == limit:
            one.end(running.pop(0))
        number = one.pop(0.0, NEVER_S)
        assert number is not None
        one.start(names[number])
        running.append(names[number])
        served[names[number]] += 1
        backlogged = [served[each] for each in "abc"]
        assert max(backlogged) - min(backlogged) <= 1
