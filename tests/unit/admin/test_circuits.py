"""The circuit breakers in the health report say what the router decides by."""

from intellirouter.admin.circuits import circuits_view, is_degraded
from intellirouter.catalog import HealthBoard
from tests.support.routing.routes import fail, succeed


def test_only_unavailable_and_half_open_deployments_are_listed() -> None:
    board = HealthBoard()
    succeed(board, "good")
    fail(board, "bad")
    fail(board, "down", times=3)
    board.of("limited").defer(30.0, 0.0)
    assert circuits_view(board, 4.5) == [
        {
            "name": "down",
            "state": "open",
            "detail": "The circuit has opened after 3 failures in a row (upstream_timeout). A probe is due in 6 s.",
            "is_available": False,
            "available_in_s": 5.5,
        },
        {
            "name": "limited",
            "state": "deferred",
            "detail": "It has asked not to be called for another 26 s.",
            "is_available": False,
            "available_in_s": 25.5,
        },
    ]
    (due, _) = circuits_view(board, 10.0)
    assert (due["state"], due["is_available"], due["available_in_s"]) == ("half_open", True, 0.0)
    assert due["detail"].endswith(" A probe is due.")
    board.of("down").begin(10.0)
    (probed, _) = circuits_view(board, 10.0)
    assert (probed["is_available"], probed["detail"].endswith(" A probe is in progress.")) == (False, True)


def test_gateway_is_degraded_while_a_configured_deployment_is_unavailable() -> None:
    board = HealthBoard()
    fail(board, "a", times=3)
    open_, half_open = circuits_view(board, 1.0), circuits_view(board, 10.0)
    assert is_degraded(open_, {"a"})
    assert not is_degraded(open_, {"b"}), "clients can name any model of a wildcard"
    assert not is_degraded(half_open, {"a"}), "it is used as usual, by one request at first"


def test_list_is_limited() -> None:
    board = HealthBoard()
    for number in range(300):
        board.of(f"fake/{number}").defer(60.0, 0.0)
    assert len(circuits_view(board, 1.0)) == 100
