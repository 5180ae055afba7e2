"""The concurrency limits in the health report."""

from intellirouter.admin.limits import limits_view
from intellirouter.catalog import HealthBoard
from intellirouter.core import DEFAULT_BREAKER, ConcurrencyPolicy, QueuePolicy, SlotPolicy
from intellirouter.resilience import Waiter


def policy(**members: object) -> SlotPolicy:
    return SlotPolicy(concurrency=ConcurrencyPolicy(**members), queue=QueuePolicy(max=5))  # type: ignore[arg-type]


def test_limit_requests_in_flight_and_queue_of_each_deployment_are_listed() -> None:
    board = HealthBoard()
    board.apply(dict.fromkeys("abc", DEFAULT_BREAKER))
    board.apply_limits({"a": policy(max=1), "b": policy(adaptive=True, initial=4)}, None, 0.0)
    slots = board.of("a").slots
    assert slots is not None
    slots.take("t", 0.0)
    Waiter("t", "normal", lambda: None).join([slots], 10.0, 0.0)
    assert limits_view(board) == [
        {
            "name": "a",
            "state": "full",
            "detail": "1 in flight, limit 1, 1 waiting",
            "limit": 1,
            "is_adaptive": False,
            "in_flight": 1,
            "waiting": 1,
            "max_waiting": 5,
        },
        {
            "name": "b",
            "state": "ok",
            "detail": "0 in flight, adaptive limit 4, 0 waiting",
            "limit": 4,
            "is_adaptive": True,
            "in_flight": 0,
            "waiting": 0,
            "max_waiting": 5,
        },
    ]


def test_list_is_bounded() -> None:
    board = HealthBoard()
    names = [f"d{number}" for number in range(150)]
    board.apply(dict.fromkeys(names, DEFAULT_BREAKER))
    board.apply_limits(dict.fromkeys(names, policy(max=1)), None, 0.0)
    assert len(limits_view(board)) == 100
