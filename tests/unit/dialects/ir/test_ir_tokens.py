"""Opaque tokens contain their origin, and are sent back only to the endpoint that issued them."""

from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Deployment, UpstreamAddress
from intellirouter.dialects.ir import Opaque, origin_of, unwrap_token, usable_token, wrap_token


def deployment(name: str = "d", provider: str = "p", url: str = "http://localhost/v1") -> Deployment:
    endpoint = UpstreamAddress(base_url=url)
    return Deployment(name=name, provider=provider, vendor="gemini", upstream_model="m", address=endpoint)


@given(st.text(), st.sampled_from(["gemini", "anthropic_messages"]), st.sampled_from(["", "0123456789ab"]))
def test_a_wrapped_token_can_be_unwrapped(value: str, dialect: str, origin: str) -> None:
    token = Opaque(value=value, origin=origin, dialect=dialect)
    wrapped = wrap_token(token)
    assert wrapped.isascii()
    assert unwrap_token(wrapped, "openai_chat") == token


def test_an_unwrapped_token_belongs_to_the_dialect_of_the_request() -> None:
    assert unwrap_token("EqQB", "anthropic_messages") == Opaque(value="EqQB", dialect="anthropic_messages")


@given(st.text())
def test_any_text_with_the_prefix_can_be_unwrapped(text: str) -> None:
    assert unwrap_token("irt1." + text, "gemini").value is not None


def test_a_token_is_sent_only_to_its_endpoint() -> None:
    here = deployment()
    token = Opaque(value="t", origin=origin_of(here), dialect="gemini")
    assert usable_token(token, "gemini", here) == "t"
    assert usable_token(token, "gemini", deployment(name="other")) == "t"  # the same provider at the same address
    assert usable_token(token, "gemini", deployment(provider="q")) is None
    assert usable_token(token, "gemini", deployment(url="http://localhost/v2")) is None
    assert usable_token(token, "anthropic_messages", here) is None
    assert usable_token(None, "gemini", here) is None


def test_a_token_of_unknown_origin_is_sent_to_any_endpoint_of_its_dialect() -> None:
    assert usable_token(Opaque(value="t", dialect="gemini"), "gemini", deployment()) == "t"
