"""Priorities of requests, and when a policy limits at all."""

import pytest

from intellirouter.core import PRIORITIES, ConcurrencyPolicy, Priority, lower_priority


def test_lower_priority_is_the_one_that_is_served_later() -> None:
    assert PRIORITIES == ("interactive", "normal", "batch")
    for index, one in enumerate(PRIORITIES):
        for other_index, other in enumerate(PRIORITIES):
            expected: Priority = PRIORITIES[max(index, other_index)]
            assert lower_priority(one, other) == expected


@pytest.mark.parametrize(
    ("policy", "is_limiting"),
    [
        (ConcurrencyPolicy(), False),
        (ConcurrencyPolicy(max=1), True),
        (ConcurrencyPolicy(adaptive=True), True),
        (ConcurrencyPolicy(adaptive=True, max=1, is_enabled=False), False),
    ],
)
def test_policy_limits_with_a_maximum_or_if_it_is_adaptive(policy: ConcurrencyPolicy, is_limiting: bool) -> None:
    assert policy.is_limiting is is_limiting
