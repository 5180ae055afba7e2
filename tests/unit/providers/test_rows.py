"""Vendors are data, so data is what is checked: each row well formed, no two in each other's way."""

import re
from collections import Counter
from urllib.parse import urlsplit

import pytest
from genai_prices import calc_price
from genai_prices.types import Usage

from intellirouter.core import VendorRow
from intellirouter.providers import VENDORS

ROWS = [pytest.param(row, id=name) for name, row in VENDORS.items()]


def test_names_and_titles_are_unique() -> None:
    assert all(name == row.name for name, row in VENDORS.items())
    titles = Counter(row.title for row in VENDORS.values())
    assert [title for title, count in titles.items() if count > 1] == []


def test_no_two_vendors_share_a_local_port_an_address_or_an_environment_variable() -> None:
    for values in (
        [row.local_port for row in VENDORS.values() if row.local_port],
        [row.base_url for row in VENDORS.values() if row.base_url],
        [name for row in VENDORS.values() for name in row.credential_env],
    ):
        assert len(values) == len(set(values))
        assert values


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_well_formed(row: VendorRow) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", row.name)
    assert row.title.strip() == row.title != ""
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*_API_KEY", name) for name in row.credential_env)
    assert bool(row.credential_env) <= row.needs_credential
    assert len(set(row.default_models)) == len(row.default_models)
    assert all(model.isascii() and model.isprintable() and " " not in model for model in row.default_models)
    assert not (row.is_free and row.price_provider)


@pytest.mark.parametrize("row", ROWS)
def test_an_address_is_https_unless_it_is_this_machine(row: VendorRow) -> None:
    if row.base_url is None:
        assert row.transport != "http" or row.name == "openai-compatible"
        assert row.local_port is None
        return
    url = urlsplit(row.base_url)
    assert not row.base_url.endswith("/")
    assert (url.query, url.fragment, url.username) == ("", "", None)
    assert row.transport == "http"
    if row.local_port is None:
        assert url.scheme == "https"
        assert row.needs_credential
    else:
        assert (url.scheme, url.hostname, url.port, url.path) == ("http", "127.0.0.1", row.local_port, "/v1")
        assert (row.is_free, row.needs_credential) == (True, False)


@pytest.mark.parametrize("row", [param for param in ROWS if param.values[0].price_provider])
def test_the_models_that_are_offered_by_name_have_a_price(row: VendorRow) -> None:
    for model in row.default_models:
        price = calc_price(Usage(input_tokens=1, output_tokens=1), model, provider_id=row.price_provider)
        assert price.total_price > 0
