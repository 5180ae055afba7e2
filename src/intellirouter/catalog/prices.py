"""List prices, context windows and capabilities of hosted models, from the data file of the package or a newer one.

`scripts/build_prices.py` writes the former from the maintained `genai-prices` package; importing that package here
would take 65 MB and a third of a second. A list is loaded, queried and released. A provider is parsed only when one of
its models is looked up.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Price

DATA_FILE: Final = Path(__file__).with_name("data") / "prices.json"

_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class PriceEntry(Struct, frozen=True, kw_only=True):
    """The entry of one model."""

    model_id: str
    """The name of the model in the list."""
    price: Price | None
    """None if the model has no price per token, for example because it is billed by the second or the page."""
    context_tokens: int | None
    """None if it is not listed."""
    capabilities: frozenset[str] | None = None
    """What the model supports; None if it is not listed."""
    not_covered: tuple[str, ...] = ()
    """Charges that `price` does not include: `tiers` (higher prices for long prompts), `time_of_day` (lower prices at
    night), `requests`, `web_searches` and others."""

    @property
    def is_tiered(self) -> bool:
        """True if `price` is the price of the base tier, and long prompts cost more per token."""
        return "tiers" in self.not_covered


class _Period(Struct, array_like=True):
    """One price table. `rule` is "" (always), an ISO date (from that day, UTC) or "daily" (some hours of the day)."""

    rule: str
    rates: dict[str, int]
    """Bucket of `core.Price` -> pico-USD per token."""
    not_covered: tuple[str, ...] = ()


class _Model(Struct, array_like=True):
    id: str
    match: dict[str, Any]
    context_tokens: int | None
    periods: list[_Period]
    capabilities: tuple[str, ...] | None = None


class _Provider(Struct, omit_defaults=True):
    models: list[_Model]
    match: dict[str, Any] | None = None
    """Match clause for other names of the provider."""
    fallbacks: tuple[str, ...] = ()
    """Providers whose models this provider resells."""


Rows = tuple[dict[str, Any] | None, list[tuple[str, dict[str, Any], list[tuple[str, dict[str, int]]]]]]
"""Match clause of a provider, and id, match clause and price tables of its models."""


class _Head(Struct):
    source: str
    version: str
    license: str
    providers: dict[str, msgspec.Raw]
    """Not decoded, because most gateways need only a few providers."""


class PriceList:
    """A price list. It never changes; `version` names its source and version."""

    BUCKETS: Final = (
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "input_audio",
        "output_audio",
        "input_image",
        "output_image",
    )

    def __init__(self, data: bytes) -> None:
        """Read the content of a data file. Raises `msgspec.DecodeError` if it is not valid."""
        head = msgspec.json.decode(data, type=_Head)
        self.version: Final = f"{head.source} {head.version}"
        self._raw: Final = head.providers
        self._parsed: Final[dict[str, _Provider]] = {}

    @classmethod
    def load(cls) -> "PriceList":
        """Read the list that ships with the package."""
        return cls(DATA_FILE.read_bytes())

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of all providers."""
        return tuple(self._raw)

    def rows(self, provider: str) -> Rows:
        """Return the content of the list for one of `providers`."""
        found = self._provider(provider)
        models = [(each.id, each.match, [(table.rule, table.rates) for table in each.periods]) for each in found.models]
        return found.match, models

    def entries(self, provider: str, *, on: date | None = None) -> Iterator[PriceEntry]:
        """Return the entries of all models of one of `providers`."""
        day = on or datetime.now(UTC).date()
        return (self._entry(model, day) for model in self._provider(provider).models)

    def lookup(self, price_provider: str, model: str, *, on: date | None = None) -> PriceEntry | None:
        """Return the entry of `model` at `price_provider`, or None if it is unknown, which does not mean free.

        Prices can change from one day to the next; `on` selects the day (UTC), by default today. A price that depends
        on the hour is the highest one, a price that depends on the length of the prompt is that of the base tier; in
        both cases `not_covered` says so.
        """
        provider = self._find_provider(price_provider)
        if provider is None:
            return None
        reference = model.lower()
        found = self._find_model(provider, reference)
        if found is None and (dashed := _dashed_date(reference)) != reference:
            found = self._find_model(provider, dashed)
        if found is None:
            return None
        return self._entry(found, on or datetime.now(UTC).date())

    def _find_provider(self, name: str) -> _Provider | None:
        name = name.lower().strip()
        if name in self._raw:
            return self._provider(name)
        for provider_id in self._raw:
            provider = self._provider(provider_id)
            if provider.match is not None and matches(provider.match, name):
                return provider
        return None

    def _provider(self, provider_id: str) -> _Provider:
        provider = self._parsed.get(provider_id)
        if provider is None:
            provider = msgspec.json.decode(self._raw[provider_id], type=_Provider)
            self._parsed[provider_id] = provider
        return provider

    def _find_model(self, provider: _Provider, reference: str) -> _Model | None:
        for candidate in self._with_fallbacks(provider):
            for model in candidate.models:
                if matches(model.match, reference):
                    return model
        return None

    def _with_fallbacks(self, provider: _Provider) -> Iterator[_Provider]:
        """Yield the provider, then the providers whose models it resells. The source means one step only."""
        yield provider
        for provider_id in provider.fallbacks:
            if provider_id in self._raw:
                yield self._provider(provider_id)

    def _entry(self, model: _Model, on: date) -> PriceEntry:
        period = _period_on(model.periods, on)
        price: Price | None = None
        if period is not None and period.rates:
            price = msgspec.convert(period.rates | {"version": self.version}, Price)
        return PriceEntry(
            model_id=model.id,
            price=price,
            context_tokens=model.context_tokens,
            capabilities=None if model.capabilities is None else frozenset(model.capabilities),
            not_covered=() if period is None else period.not_covered,
        )


def _period_on(periods: Sequence[_Period], on: date) -> _Period | None:
    """Return the table that applies: the last one that has started, or the most expensive daily one after it.

    A budget that is inexact for part of the day should be on the safe side.
    """
    if not periods:
        return None
    current = periods[0]
    daily: list[_Period] = []
    for period in periods:
        if period.rule == "daily":
            daily.append(period)
        elif not period.rule or date.fromisoformat(period.rule) <= on:
            current, daily = period, []
    if not daily:
        return current
    highest = max([current, *daily], key=lambda period: sum(period.rates.values()))
    return _Period(highest.rule, highest.rates, (*highest.not_covered, "time_of_day"))


def _dashed_date(reference: str) -> str:
    """Rewrite `-20251211` as `-2025-12-11`, as in the list. Some clients send the former."""
    return _COMPACT_DATE.sub(r"-\1-\2-\3", reference)


def matches(clause: dict[str, Any], text: str) -> bool:
    """Return whether `text` satisfies a match clause.

    A clause is a mapping with one key: `equals`, `starts_with`, `ends_with`, `contains` (ignoring case), `regex` (a
    match at any position), `or` or `and` (lists of clauses). Raises ValueError for any other key.
    """
    kind, wanted = next(iter(clause.items()))
    match kind:
        case "or":
            return any(matches(part, text) for part in wanted)
        case "and":
            return all(matches(part, text) for part in wanted)
        case "regex":
            return re.search(wanted, text) is not None
        case _:
            return _text_matches(kind, wanted.lower(), text.lower())


def _text_matches(kind: str, wanted: str, text: str) -> bool:
    match kind:
        case "equals":
            return text == wanted
        case "starts_with":
            return text.startswith(wanted)
        case "ends_with":
            return text.endswith(wanted)
        case "contains":
            return wanted in text
        case _:
            raise ValueError(f"unknown match clause {kind!r} in the price list")
