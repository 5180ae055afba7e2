"""List prices, context lengths and capabilities of hosted models, read from a data file: the one that ships with the
package, or a newer one.

The former is made from the maintained `genai-prices` list by `scripts/build_prices.py`; importing that package here
would cost 65 MB and a third of a second. Whoever needs prices loads the list, asks it, and lets it go: providers
are parsed only when one of their models is asked for.
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
    """What the list says of one model."""

    model_id: str
    """The list's own name for the model that the asked name was matched to."""
    price: Price | None
    """None: the model is listed, but not with a price per token (it is billed by the second, the page, …)."""
    context_tokens: int | None
    """None: not listed."""
    capabilities: frozenset[str] | None = None
    """What the model can do; None: not listed."""
    not_covered: tuple[str, ...] = ()
    """Charges that `price` leaves out: `tiers` (dearer above a prompt length), `time_of_day` (cheaper at night),
    `requests`, `web_searches`, `cache_write_1h`, … ."""

    @property
    def is_tiered(self) -> bool:
        """True when a long prompt costs more per token than `price`, which holds the base tier, says."""
        return "tiers" in self.not_covered


class _Period(Struct, array_like=True):
    """One price table. `rule` is "" (always), an ISO date (from that day on, UTC) or "daily" (some hours)."""

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
    """Other names of the provider."""
    fallbacks: tuple[str, ...] = ()
    """Providers whose models this one resells."""


Rows = tuple[dict[str, Any] | None, list[tuple[str, dict[str, Any], list[tuple[str, dict[str, int]]]]]]
"""What is written of a provider."""


class _Head(Struct):
    source: str
    version: str
    licence: str
    providers: dict[str, msgspec.Raw]
    """Left as bytes: most runs ask for a handful of providers."""


class PriceList:
    """The price list, frozen at the version in `version`."""

    BUCKETS: Final = ("input", "output", "cache_read", "cache_write", "input_audio", "output_audio")

    def __init__(self, data: bytes) -> None:
        """Take the data file's content. Raises `msgspec.DecodeError` if it is not such a file."""
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
        """Ids that `lookup` knows without guessing."""
        return tuple(self._raw)

    def rows(self, provider: str) -> Rows:
        """Return what is written of one of `providers`: its other names, and id, match clause and tables by model."""
        found = self._provider(provider)
        models = [(each.id, each.match, [(table.rule, table.rates) for table in each.periods]) for each in found.models]
        return found.match, models

    def entries(self, provider: str, *, on: date | None = None) -> Iterator[PriceEntry]:
        """Return what is listed for every model of one of `providers`."""
        day = on or datetime.now(UTC).date()
        return (self._entry(model, day) for model in self._provider(provider).models)

    def lookup(self, price_provider: str, model: str, *, on: date | None = None) -> PriceEntry | None:
        """Return what is listed for `model` at `price_provider`, or None: unknown, which is not free of charge.

        Prices change on given days; `on` picks the day (UTC), today by default. A price that depends on the hour
        is given at its dearest, one that depends on the prompt's length at its base tier; both say so.
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
        """The provider, then those whose models it resells: one step, as the source means it."""
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
    """Return the table in force: the last that has begun; of daily ones after it, the dearest.

    A budget that errs for part of the day should err on the safe side.
    """
    if not periods:
        return None
    standing = periods[0]
    daily: list[_Period] = []
    for period in periods:
        if period.rule == "daily":
            daily.append(period)
        elif not period.rule or date.fromisoformat(period.rule) <= on:
            standing, daily = period, []
    if not daily:
        return standing
    dearest = max([standing, *daily], key=lambda period: sum(period.rates.values()))
    return _Period(dearest.rule, dearest.rates, (*dearest.not_covered, "time_of_day"))


def _dashed_date(reference: str) -> str:
    """Rewrite `-20251211` as `-2025-12-11`, the form that the list knows; some clients send the compact one."""
    return _COMPACT_DATE.sub(r"-\1-\2-\3", reference)


def matches(clause: dict[str, Any], text: str) -> bool:
    """Tell whether `text` satisfies a match clause of the source.

    A clause is a mapping with one key: `equals`, `starts_with`, `ends_with`, `contains` (all without regard to
    case), `regex` (found anywhere), `or`, `and` (lists of clauses). Raises ValueError for any other key.
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
