"""The vendor rows: each is well formed, and no two conflict."""

import re
from collections import Counter
from typing import get_args
from urllib.parse import urlsplit

import pytest
from genai_prices import calc_price
from genai_prices.types import Usage

from intellirouter.core import Operation, VendorRow
from intellirouter.providers import VENDORS

ROWS = [pytest.param(row, id=name) for name, row in VENDORS.items()]


def test_names_and_titles_are_unique() -> None:
    assert all(name == row.name for name, row in VENDORS.items())
    titles = Counter(row.title for row in VENDORS.values())
    assert [title for title, count in titles.items() if count > 1] == []


def test_well_known_vendors_exist() -> None:
    asked_for = """openai anthropic gemini vertex azure bedrock ollama llamacpp vllm mlc mlx sglang tgi localai lmstudio
        groq mistral deepseek xai together fireworks openrouter cerebras sambanova nvidia cohere perplexity huggingface
        ai21 nebius hyperbolic deepinfra novita moonshot zhipu zai minimax dashscope baseten friendli scaleway ovhcloud
        github vercel databricks"""
    assert set(asked_for.split()) <= set(VENDORS)
    assert sum("openai_chat" in row.dialects and row.transport == "http" for row in VENDORS.values()) > 40


def test_no_two_vendors_share_a_local_port_or_an_environment_variable() -> None:
    for values in (
        [row.local_port for row in VENDORS.values() if row.local_port],
        [name for row in VENDORS.values() for name in row.credential_env],
        [row.base_url for row in VENDORS.values() if row.base_url and not row.is_free],
    ):
        assert len(values) == len(set(values))
        assert values


@pytest.mark.parametrize("row", ROWS)
def test_row_is_well_formed(row: VendorRow) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", row.name)
    assert row.title.strip() == row.title != ""
    names = [name for names in row.credential_env for name in names.split("+")]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", name) for name in names)
    assert bool(row.credential_env) <= row.needs_credential
    assert len(set(row.default_models)) == len(row.default_models)
    assert all(model.isascii() and model.isprintable() and " " not in model for model in row.default_models)
    assert not (row.is_free and row.price_provider)
    assert (row.transport == "http" and row.name != "openai-compatible") == row.docs.startswith("https://")


@pytest.mark.parametrize("row", ROWS)
def test_row_uses_known_dialects_and_operations(row: VendorRow) -> None:
    known = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "bedrock")
    assert row.dialects
    assert set(row.dialects) <= set(known)
    assert row.operations is None or row.operations <= set(get_args(Operation))
    assert row.operations is None or row.operations
    renamed = {name for name, _ in row.quirks.renames}
    assert not renamed & row.quirks.refuses
    assert not row.quirks.refuses & {"model", "messages", "tools", "tool_choice", "response_format", "stream"}


@pytest.mark.parametrize("row", ROWS)
def test_base_url_is_https_unless_it_is_local(row: VendorRow) -> None:
    if row.transport != "http":
        assert (row.base_url, row.base_url_hint, row.local_port) == (None, "", None)
        return
    if row.base_url is None or "{" in row.base_url:
        # The hint shows placeholders in capital letters.
        assert re.search(r"[A-Z]{4}", row.base_url_hint)
        assert row.local_port is None
        return
    url = urlsplit(row.base_url)
    assert not row.base_url.endswith("/")
    assert (url.query, url.fragment, url.username) == ("", "", None)
    if row.is_free:
        assert (url.scheme, url.hostname, row.needs_credential) == ("http", "127.0.0.1", False)
        assert url.path == ("" if row.dialects == ("ollama",) else "/v1")
        assert row.local_port in {None, url.port}
    else:
        assert url.scheme == "https"
        assert row.needs_credential
        assert row.local_port is None


def test_shared_port_is_probed_once() -> None:
    by_port = Counter(urlsplit(row.base_url).port for row in VENDORS.values() if row.is_free and row.base_url)
    probed = {row.local_port for row in VENDORS.values() if row.local_port}
    assert set(by_port) == probed
    assert max(by_port.values()) > 1


@pytest.mark.parametrize("row", [param for param in ROWS if param.values[0].price_provider])
def test_default_models_have_a_price(row: VendorRow) -> None:
    for model in row.default_models:
        price = calc_price(Usage(input_tokens=1, output_tokens=1), model, provider_id=row.price_provider)
        assert price.total_price > 0
