"""The most similar name for a model that does not exist."""

from collections.abc import Callable

import pytest

from intellirouter.catalog import Catalog, PriceEntry, ProviderLists, model_not_found
from intellirouter.config import DeploymentSpec, ProviderSpec, Runtime, ServerSpec, StoreSpec
from intellirouter.core import VendorRow

NAMES = ("gpt-4o-mini", "gpt-4.1", "openai/o3", "claude-3-5-sonnet-20241022", "assistant", "secret-model")
VENDORS = {
    "acme": VendorRow(
        name="acme", title="Acme", base_url="http://acme.test/v1", needs_credential=False, price_provider="acme"
    )
}


class Prices:
    """A list of one model, which recognizes dated names of it, as real lists do."""

    def lookup(self, price_provider: str, model: str) -> PriceEntry | None:
        is_known = price_provider == "acme" and model.startswith("llama-9")
        return PriceEntry(model_id="llama-9", price=None, context_tokens=None) if is_known else None


@pytest.fixture(scope="module")
def names() -> Catalog:
    provider = ProviderSpec(name="main", vendor="acme", base_url="http://acme.test/v1")
    wild = ProviderSpec(name="groq", vendor="acme", base_url="http://acme.test/v1", allows_any_model=True)
    runtime = Runtime(
        server=ServerSpec(),
        auth_required=False,
        store=StoreSpec(url="sqlite://", spool_dir="spool"),
        providers={"main": provider, "groq": wild},
        deployments={name: DeploymentSpec(name=name, provider="main", model=name) for name in NAMES},
        models={},
    )
    catalog = Catalog(runtime, VENDORS, Prices(), lists := ProviderLists())
    lists.replace("groq", [catalog.describe("groq", name, None) for name in ("gpt-oss", "vendor/qwen", "secret-1")])
    return catalog


def is_public(name: str) -> bool:
    return "secret" not in name


def is_anything(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("gpt-4o-mni", "gpt-4o-mini"),
        ("GPT-4O-MINI", "gpt-4o-mini"),
        ("asistant", "assistant"),
        ("o3", "openai/o3"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("claude-3-5-sonnet", "claude-3-5-sonnet-20241022"),
        ("grok/llama-3", "groq/llama-3"),
        ("grok/gpt-4.1", "groq/gpt-4.1"),
        ("gpt-oss", "groq/gpt-oss"),
        ("vendor/qwen", "groq/vendor/qwen"),
        ("llama-9", "groq/llama-9"),
    ],
)
def test_similar_name_is_suggested(names: Catalog, asked: str, near: str) -> None:
    error = model_not_found(names, asked, is_public, "/v1/models")
    assert error.message == f"The model '{asked}' does not exist or you do not have access to it."
    assert error.hint == f"Did you mean `{near}`? GET /v1/models lists the models that this key may use."
    assert (error.status, error.param) == (404, "model")


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "zzz",
        "x" * 100_000,
        "zzz/llama",
        "llama-9-2026-01-01",
        "secret-1",
        "secret-modl",
        "secret-model",
        "gr\nok/x\ny",
    ],
)
def test_nothing_is_suggested_that_is_not_similar_or_not_permitted(names: Catalog, asked: str) -> None:
    error = model_not_found(names, asked, is_public, "/api/tags")
    assert error.hint == "GET /api/tags lists the models that this key may use."
    assert len(error.message) < 300


@pytest.mark.parametrize(("may_use", "hint"), [(is_anything, "Did you mean `secret-model`?"), (is_public, "GET ")])
def test_names_of_others_are_not_revealed(names: Catalog, may_use: Callable[[str], bool], hint: str) -> None:
    assert str(model_not_found(names, "secret-modle", may_use, "/v1/models").hint).startswith(hint)
