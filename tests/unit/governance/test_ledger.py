"""The cost of an exchange, and usage estimates."""

import pytest
from msgspec import structs

from intellirouter.core import Call, Deployment, Price, UpstreamAddress, Usage
from intellirouter.governance import cost_of, estimated_usage, plausible_usage

USAGE = Usage(input_tokens=1000, output_tokens=500)


def deployment(price: Price | None) -> Deployment:
    return Deployment(
        name="d",
        provider="p",
        vendor="v",
        upstream_model="m",
        address=UpstreamAddress(base_url="http://x"),
        price=price,
    )


def test_cost_is_usage_times_price_with_the_version_of_the_price() -> None:
    price = Price(input=2_000_000, output=8_000_000, version="2026-09")
    assert cost_of(deployment(price), USAGE) == (6000, "2026-09")


def test_free_deployment_has_a_known_cost_of_zero() -> None:
    assert cost_of(deployment(Price(input=0, output=0, version="own hardware")), USAGE) == (0, "own hardware")


@pytest.mark.parametrize(("price", "usage"), [(None, USAGE), (Price(input=1, output=1), None), (None, None)])
def test_cost_is_unknown_without_price_or_usage(price: Price | None, usage: Usage | None) -> None:
    assert cost_of(deployment(price), usage) == (None, None)


@pytest.mark.parametrize(("body", "tokens"), [(b"", 0), (b"x", 1), (b"x" * 4, 1), (b"x" * 5, 2)])
def test_missing_usage_is_estimated_and_marked(body: bytes, tokens: int) -> None:
    usage = estimated_usage(Call(operation="chat", model="m", body=body), 7)
    assert usage == Usage(input_tokens=tokens, output_tokens=7, is_estimated=True)


BODY = b'{"model":"m","messages":[{"role":"user","content":"hello there"}]}'


def bounded(usage: Usage, *, body: bytes = BODY, max_tokens: int | None = None, answer_bytes: int = 400) -> Usage:
    call = Call(operation="chat", model="m", body=body, max_output_tokens=max_tokens)
    return plausible_usage(usage, call, deployment(None), answer_bytes)


@pytest.mark.parametrize(
    ("usage", "max_tokens"),
    [
        (Usage(), None),
        (Usage(input_tokens=9, output_tokens=80), None),
        (Usage(input_tokens=20_000, output_tokens=400), None),  # a system prompt of the provider
        (Usage(input_tokens=9, output_tokens=9, reasoning_tokens=90_000), None),
        (Usage(input_tokens=9, output_tokens=90_000), None),  # reasoning that is not reported as such
        (Usage(input_tokens=9, output_tokens=90_000), 100_000),
        (Usage(input_tokens=9, output_tokens=9, reasoning_tokens=5_000), 100),  # xAI: reasoning is not limited
    ],
)
def test_possible_usage_is_unchanged(usage: Usage, max_tokens: int | None) -> None:
    assert bounded(usage, max_tokens=max_tokens) is usage


def test_a_long_prompt_behind_a_reference_is_possible() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=9)
    assert bounded(usage, body=b'{"image_url":"https://x/video.mp4"}') is usage


@pytest.mark.parametrize(
    ("usage", "max_tokens", "expected"),
    [
        (Usage(input_tokens=9, output_tokens=10**12), None, Usage(input_tokens=9, output_tokens=400)),
        (Usage(input_tokens=9, output_tokens=10**12), 1000, Usage(input_tokens=9, output_tokens=1000)),
        (Usage(input_tokens=9, output_tokens=5000), 1000, Usage(input_tokens=9, output_tokens=1000)),
        (Usage(input_tokens=9, reasoning_tokens=10**12), None, Usage(input_tokens=9, output_tokens=400)),
        (Usage(input_tokens=10**12, output_tokens=9), None, Usage(input_tokens=17, output_tokens=9)),
        (Usage(cache_write_1h_tokens=10**9, output_tokens=9), None, Usage(input_tokens=17, output_tokens=9)),
        # A negative count, which the decoder has marked and set to 0.
        (Usage(output_tokens=9, is_implausible=True), None, Usage(input_tokens=17, output_tokens=9)),
        (Usage(input_tokens=9, is_implausible=True), None, Usage(input_tokens=9, output_tokens=100)),
    ],
)
def test_impossible_usage_is_bounded_and_marked(usage: Usage, max_tokens: int | None, expected: Usage) -> None:
    assert bounded(usage, max_tokens=max_tokens) == structs.replace(expected, is_implausible=True)
