"""The cost of an exchange, and usage estimates."""

import pytest

from intellirouter.core import Call, Deployment, Price, UpstreamAddress, Usage
from intellirouter.governance import cost_of, estimated_usage

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
