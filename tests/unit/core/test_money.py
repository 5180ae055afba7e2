"""Money is integers, exact to the last digit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Price, Usage, format_usd, pusd_per_token

BUCKETS = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "cache_write_1h_tokens": "cache_write_1h",
    "input_audio_tokens": "input_audio",
    "input_image_tokens": "input_image",
    "output_tokens": "output",
    "reasoning_tokens": "output",
    "output_audio_tokens": "output_audio",
    "output_image_tokens": "output_image",
}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("1", 1_000_000),
        (1, 1_000_000),
        (0.1, 100_000),
        ("0.0000005", 1),
        ("0.0000004", 0),
        (Decimal("2.5"), 2_500_000),
        (0, 0),
        (0.15, 150_000),
        ("1e-2", 10_000),
    ],
)
def test_list_price_is_exact(listed: Decimal | str | float, expected: int) -> None:
    assert pusd_per_token(listed) == expected


@pytest.mark.parametrize("bucket", BUCKETS)
def test_each_bucket_is_priced_separately(bucket: str) -> None:
    prices = {name: 10**6 * place for place, name in enumerate(dict.fromkeys(BUCKETS.values()), 1)}
    assert Price(**prices).cost_microusd(Usage(**{bucket: 7})) == 7 * prices[BUCKETS[bucket]] // 10**6


@pytest.mark.parametrize("bucket", BUCKETS)
def test_bucket_without_a_price_falls_back_and_zero_is_a_price(bucket: str) -> None:
    side = 3 if "output" in bucket or bucket == "reasoning_tokens" else 2
    side = 4 if bucket == "cache_write_1h_tokens" else side  # twice the price of input
    usage = Usage(**{bucket: 10})
    assert Price(input=2 * 10**6, output=3 * 10**6).cost_microusd(usage) == 10 * side
    own = BUCKETS[bucket]
    if own not in {"input", "output"}:
        assert Price(**{"input": 2 * 10**6, "output": 3 * 10**6, own: 0}).cost_microusd(usage) == 0


@pytest.mark.parametrize(("tokens", "cost"), [(0, 0), (1, 0), (4, 0), (5, 1), (14, 1), (15, 2)])
def test_cost_is_rounded_half_up_once(tokens: int, cost: int) -> None:
    assert Price(input=100_000, output=0).cost_microusd(Usage(input_tokens=tokens)) == cost


counts = st.integers(0, 10**9)
prices = st.integers(0, 10**9)


def test_saving_of_a_prompt_cache_is_what_the_tokens_would_have_cost_without_it() -> None:
    price = Price(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000)
    assert price.prompt_cache_saved_microusd(Usage(input_tokens=10, output_tokens=10)) == 0
    assert price.prompt_cache_saved_microusd(Usage(input_tokens=10, cache_read_tokens=1000)) == 2700
    assert price.prompt_cache_saved_microusd(Usage(cache_write_tokens=1000)) == -750
    assert price.prompt_cache_saved_microusd(Usage(cache_write_1h_tokens=1000)) == -3000
    assert price.prompt_cache_saved_microusd(Usage(cache_read_tokens=1000, cache_write_tokens=1000)) == 1950


@given(st.lists(counts, min_size=len(BUCKETS), max_size=len(BUCKETS)), st.lists(prices, min_size=9, max_size=9))
def test_cost_is_the_exact_sum_over_the_buckets(tokens: list[int], charged: list[int]) -> None:
    table = dict(zip(dict.fromkeys(BUCKETS.values()), charged, strict=True))
    usage = Usage(**dict(zip(BUCKETS, tokens, strict=True)))
    exact = sum(count * table[BUCKETS[bucket]] for bucket, count in zip(BUCKETS, tokens, strict=True))
    assert abs(Price(**table).cost_microusd(usage) * 10**6 - exact) <= 500_000


@pytest.mark.parametrize(
    ("microusd", "text"),
    [(0, "0.000000"), (1500, "0.001500"), (1_000_000, "1.000000"), (-1, "-0.000001"), (-2_500_000, "-2.500000")],
)
def test_dollars_are_formatted_with_six_decimals(microusd: int, text: str) -> None:
    assert format_usd(microusd) == text


@given(st.integers(-(10**18), 10**18))
def test_formatted_dollars_can_be_parsed(microusd: int) -> None:
    assert int(Decimal(format_usd(microusd)) * 10**6) == microusd
