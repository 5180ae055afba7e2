"""How attempts share the time of a request."""

import pytest

from intellirouter.resilience import attempt_limit_s


@pytest.mark.parametrize(
    ("left_s", "total_s", "untried_s", "limit_s"),
    [
        (600.0, 600.0, 0.0, 600.0),
        (60.0, 600.0, 0.0, 60.0),
        (1200.0, 600.0, 600.0, 600.0),  # by default, each deployment has its full time
        (60.0, 600.0, 600.0, 30.0),  # half of what is left
        (30.0, 600.0, 0.0, 30.0),
        (100.0, 90.0, 20.0, 80.0),  # the time of the other deployments is reserved
        (9.0, 10.0, 10.0, 4.5),
        (60.0, 5.0, 600.0, 5.0),
        (0.0, 5.0, 5.0, 0.0),
    ],
)
def test_time_of_untried_deployments_is_reserved(
    left_s: float, total_s: float, untried_s: float, limit_s: float
) -> None:
    assert attempt_limit_s(left_s, total_s, untried_s) == limit_s
