"""When requests are hedged: the learned delay, the share of hedged requests, and the kinds of requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import HedgingPolicy
from intellirouter.resilience import DelayHistogram, HedgeShare, may_hedge


def test_percentile_needs_twenty_samples() -> None:
    histogram = DelayHistogram()
    for _ in range(19):
        histogram.add(100.0)
    assert histogram.percentile_s(0.95) is None
    histogram.add(100.0)
    assert histogram.percentile_s(0.95) == pytest.approx(0.1, rel=0.25)


@given(st.lists(st.floats(1, 1e6), min_size=20, max_size=400))
def test_percentile_is_at_most_a_quarter_too_high(samples: list[float]) -> None:
    histogram = DelayHistogram()
    for each in samples:
        histogram.add(each)
    exact_s = sorted(samples)[-(-len(samples) * 95 // 100) - 1] / 1e3
    found_s = histogram.percentile_s(0.95)
    assert found_s is not None
    assert exact_s * 0.999 <= found_s <= exact_s * 1.2501


def test_latest_samples_weigh_most() -> None:
    histogram = DelayHistogram()
    for delay_ms in [10.0] * 1000 + [1000.0] * 3000:
        histogram.add(delay_ms)
    median_s = histogram.percentile_s(0.5)
    assert median_s is not None
    assert median_s > 0.9


def test_share_of_hedged_requests_is_limited() -> None:
    share = HedgeShare()
    taken = 0
    for number in range(400):
        share.count_request(number / 10)
        taken += share.take(0.05, number / 10)
    assert 15 <= taken <= 20


def test_first_request_is_hedged_only_if_all_may_be() -> None:
    share = HedgeShare()
    share.count_request(0.0)
    assert not share.take(0.5, 0.0)
    assert share.take(1.0, 0.0)


@pytest.mark.parametrize("later_s", [61.0, 1e6])
def test_requests_count_for_a_minute(later_s: float) -> None:
    share = HedgeShare()
    for _ in range(100):
        share.count_request(5.0)
    assert share.take(0.01, 64.0 - 10.0)
    assert not HedgeShare().take(0.5, 5.0)
    assert not share.take(0.01, 5.0 + later_s)


@pytest.mark.parametrize(
    ("operation", "needs", "is_large", "allows_tools", "expected"),
    [
        ("chat", (), False, False, True),
        ("completions", (), False, False, True),
        ("embeddings", (), False, False, True),
        ("chat", ("json_schema",), False, False, True),
        ("chat", ("tools",), False, False, False),
        ("chat", ("tools",), False, True, True),
        ("chat", ("vision",), False, True, False),
        ("chat", (), True, True, False),
        *[(each, (), False, True, False) for each in ("images", "audio", "realtime", "moderations", "rerank")],
    ],
)
def test_kinds_of_requests(
    operation: str, needs: tuple[str, ...], is_large: bool, allows_tools: bool, expected: bool
) -> None:
    policy = HedgingPolicy(allows_tools=allows_tools)
    assert may_hedge(policy, operation, needs, is_large=is_large) is expected
