"""Converts the price list that the genai-prices project publishes as JSON to our compact format. No I/O.

Source: github.com/pydantic/genai-prices, `prices/data.json` and `prices/data.schema.json`.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from intellirouter.core import pusd_per_token

BUCKETS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
}
"""Price keys of the source (US dollars per million tokens) -> buckets of `core.Price`."""


class _Tiered(Struct):
    base: Decimal


_Prices = dict[str, Decimal | _Tiered | None]


class _Constraint(Struct):
    """The day from which a price applies, or hours of the day (`start_time`, `end_time`)."""

    start_date: str | None = None
    start_time: str | None = None


class _Conditional(Struct):
    prices: _Prices
    constraint: _Constraint | None = None


class _Model(Struct):
    id: str
    match: dict[str, Any]
    prices: _Prices | list[_Conditional] = field(default_factory=list[_Conditional])
    context_window: int | None = None
    description: str | None = None
    price_comments: str | None = None


class _Provider(Struct):
    id: str
    models: list[_Model]
    provider_match: dict[str, Any] | None = None
    fallback_model_providers: list[str] | None = None


class _Wrapped(Struct):
    providers: list[_Provider]


def to_compact(data: bytes, version: str) -> bytes:
    """Return the list in our compact format. Raises `msgspec.DecodeError` or ValueError."""
    if data.lstrip()[:1] == b"[":
        providers = msgspec.json.decode(data, type=list[_Provider])
    else:
        providers = msgspec.json.decode(data, type=_Wrapped).providers
    if not providers:
        raise ValueError("it contains no provider")
    document = {
        "source": "genai-prices",
        "version": version,
        "license": "MIT",
        "providers": {each.id: _provider(each) for each in sorted(providers, key=lambda each: each.id)},
    }
    return msgspec.json.encode(document)


def _provider(provider: _Provider) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if provider.provider_match is not None:
        made["match"] = provider.provider_match
    if provider.fallback_model_providers:
        made["fallbacks"] = provider.fallback_model_providers
    # The order of the models decides which one matches first, so it is that of the source.
    made["models"] = [_row(model) for model in provider.models]
    return made


def _row(model: _Model) -> list[Any]:
    tables = model.prices if isinstance(model.prices, list) else [_Conditional(prices=model.prices)]
    return [model.id, model.match, model.context_window, [_period(model, table) for table in tables]]


def _period(model: _Model, table: _Conditional) -> list[Any]:
    rates, not_covered = _rates(model, table.prices)
    when = table.constraint
    rule = "" if when is None else when.start_date or "daily"
    return [rule, rates, not_covered] if not_covered else [rule, rates]


def _rates(model: _Model, prices: _Prices) -> tuple[dict[str, int], list[str]]:
    """Return pico-USD per token by bucket, and the charges without a bucket."""
    given = {key: value for key, value in prices.items() if value is not None}
    if not given and _is_free(model):
        return {"input": 0, "output": 0}, []
    found: dict[str, int] = {}
    not_covered: set[str] = set()
    for key, value in given.items():
        bucket = BUCKETS.get(key)
        if bucket is None:
            not_covered.add(key.removesuffix("_mtok").removesuffix("_kcount"))
            continue
        if isinstance(value, _Tiered):
            not_covered.add("tiers")
        found[bucket] = pusd_per_token(value.base if isinstance(value, _Tiered) else value)
    if found:
        # A direction without a price is free: embeddings return no tokens, speech synthesis takes none.
        found = {"input": 0, "output": 0} | found
    return found, sorted(not_covered)


def _is_free(model: _Model) -> bool:
    """Return whether a model without prices is free, as opposed to unknown. The source has no field for this."""
    words = f"{model.price_comments or ''} {model.description or ''}".lower()
    return ":free" in model.id or "free of charge" in words or "included in the subscription" in words
