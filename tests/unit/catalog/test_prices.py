"""The shipped price list against the package it is made from, and its rules on small lists of our own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices
from genai_prices.types import Usage as SourceUsage
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.catalog.prices import DATA_FILE, PriceEntry, PriceList, matches
from intellirouter.core import Price, Usage

ROOT = Path(__file__).parents[3]
DAY = date(2026, 9, 1)
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
USAGE = Usage(
    input_tokens=9_001,
    cache_read_tokens=4_003,
    cache_write_tokens=1_007,
    output_tokens=2_011,
    reasoning_tokens=503,
)
AUDIO_USAGE = Usage(input_tokens=9_001, input_audio_tokens=1_013, output_tokens=2_011, output_audio_tokens=307)


@pytest.fixture(scope="module")
def price_list() -> PriceList:
    return PriceList.load()


def listed() -> Iterator[tuple[Any, Any]]:
    """Every provider of the source with each of its models."""
    for provider in get_snapshot().providers:
        for model in provider.models:
            yield provider, model


def as_source(usage: Usage) -> SourceUsage:
    """Our disjoint buckets as the source's nested ones."""
    return SourceUsage(
        input_tokens=usage.total_input_tokens,
        output_tokens=usage.total_output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        cache_audio_read_tokens=0,
        cache_audio_write_tokens=0,
        output_audio_reasoning_tokens=0,
    )


def is_whole_in_pusd(prices: Any) -> bool:
    """A few rows carry rounding noise of their own (0.18000000000000002): those cannot be held exactly."""
    amounts = [price.base if isinstance(price, TieredPrices) else price for price in prices.__dict__.values() if price]
    return all(amount * 1_000_000 % 1 == 0 for amount in amounts)


def make_list(*models: list[Any], **provider: Any) -> PriceList:
    providers = {"lab": {"models": list(models), **provider}}
    head = {"source": "made-up", "version": "1", "license": "none", "providers": providers}
    return PriceList(json.dumps(head).encode())


def input_price(entry: PriceEntry | None) -> int:
    assert entry is not None
    assert entry.price is not None
    return entry.price.input


def test_known_model_has_price_version_and_context_window(price_list: PriceList) -> None:
    entry = price_list.lookup("openai", "gpt-4o-mini", on=DAY)
    assert entry is not None
    assert entry.price == Price(input=150_000, output=600_000, cache_read=75_000, version=price_list.version)
    assert entry.context_tokens == 128_000
    assert price_list.version.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "no-such-model"), ("no-such-provider", "gpt-4o"), ("", "gpt-4o"), ("openai", "")],
)
def test_unknown_model_is_none_and_not_free(price_list: PriceList, provider: str, model: str) -> None:
    assert price_list.lookup(provider, model) is None


@pytest.mark.parametrize("usage", [USAGE, AUDIO_USAGE], ids=["cached", "audio"])
def test_costs_agree_with_the_source_to_the_micro_usd(price_list: PriceList, usage: Usage) -> None:
    source_usage = as_source(usage)
    compared = 0
    for provider, model in listed():
        entry = price_list.lookup(provider.id, model.id, on=DAY)
        found = provider.find_model(model.id, all_providers=get_snapshot().providers)
        if entry is None or entry.price is None or found is None:
            continue
        prices = found.get_prices(NOON)
        if {"requests", "time_of_day"} & set(entry.not_covered) or not is_whole_in_pusd(prices):
            continue
        source = found.calc_price(source_usage, provider, genai_request_timestamp=NOON).total_price
        wanted = int((source * 1_000_000).to_integral_value(ROUND_HALF_UP))
        assert entry.price.cost_microusd(usage) == wanted, (provider.id, model.id)
        compared += 1
    assert compared >= 2_000


def test_every_name_resolves_to_the_same_model_as_in_the_source(price_list: PriceList) -> None:
    providers = get_snapshot().providers
    for provider, model in listed():
        wanted = provider.find_model(model.id, all_providers=providers)
        entry = price_list.lookup(provider.id, model.id, on=DAY)
        assert (entry and entry.model_id) == (wanted and wanted.id), (provider.id, model.id)
        if entry is not None and wanted is not None:
            assert entry.context_tokens == wanted.context_window


@pytest.mark.parametrize(
    ("provider", "model", "model_id"),
    [
        ("azure", "gpt-4o", "gpt-4o"),
        ("azure", "claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("azure", "grok-3", "grok-3"),
    ],
)
def test_reseller_falls_back_to_prices_of_the_original_provider(
    price_list: PriceList, provider: str, model: str, model_id: str
) -> None:
    entry = price_list.lookup(provider, model)
    assert entry is not None
    assert entry.model_id == model_id


def test_providers_are_found_by_their_other_names(price_list: PriceList) -> None:
    assert price_list.lookup("xai", "grok-3") == price_list.lookup("x-ai", "grok-3") is not None
    assert price_list.lookup(" OpenAI ", "GPT-4o") == price_list.lookup("openai", "gpt-4o") is not None


def test_compact_date_matches_the_dashed_one() -> None:
    prices = make_list(["m", {"equals": "m-2025-12-11"}, None, [["", {"input": 1, "output": 2}]]])
    assert input_price(prices.lookup("lab", "m-20251211")) == 1
    assert prices.lookup("lab", "m-20251311") is None


def test_model_that_is_not_billed_by_tokens_has_no_price(price_list: PriceList) -> None:
    entry = price_list.lookup("openai", "whisper-1")
    assert entry is not None
    assert entry.price is None
    assert "audio_hours" in entry.not_covered


def test_a_model_that_is_free_of_charge_costs_zero(price_list: PriceList) -> None:
    assert input_price(price_list.lookup("openrouter", "deepseek/deepseek-r1:free")) == 0


def test_missing_price_does_not_mean_free(price_list: PriceList) -> None:
    entry = price_list.lookup("cerebras", "qwen-3-coder-480b")
    assert entry is not None
    assert entry.price is None


def test_tiered_price_is_the_base_tier_and_marked_as_such(price_list: PriceList) -> None:
    entry = price_list.lookup("anthropic", "claude-sonnet-4-5", on=DAY)
    assert entry is not None
    assert entry.is_tiered
    assert input_price(entry) == 3_000_000


def test_prices_change_on_their_start_date() -> None:
    rows = [
        ["", {"input": 9, "output": 9}],
        ["2026-03-01", {"input": 5, "output": 5}],
        ["2026-06-01", {"input": 7, "output": 7}],
    ]
    prices = make_list(["m", {"equals": "m"}, None, rows])
    by_day = {
        date(2026, 2, 28): 9,
        date(2026, 3, 1): 5,
        date(2026, 5, 31): 5,
        date(2026, 6, 1): 7,
    }
    assert {day: input_price(prices.lookup("lab", "m", on=day)) for day in by_day} == by_day


def test_price_that_starts_later_is_used_if_it_is_the_only_one() -> None:
    prices = make_list(["m", {"equals": "m"}, None, [["2030-01-01", {"input": 3, "output": 4}]]])
    assert input_price(prices.lookup("lab", "m", on=DAY)) == 3


def test_price_by_time_of_day_is_the_highest_one() -> None:
    rows = [
        ["", {"input": 1, "output": 2}],
        ["daily", {"input": 10, "output": 20}],
        ["daily", {"input": 4, "output": 4}],
    ]
    entry = make_list(["m", {"equals": "m"}, None, rows]).lookup("lab", "m")
    assert input_price(entry) == 10
    assert entry is not None
    assert entry.not_covered == ("time_of_day",)


def test_later_start_date_ends_older_prices_by_time_of_day() -> None:
    rows = [
        ["", {"input": 1, "output": 2}],
        ["daily", {"input": 10, "output": 20}],
        ["2026-01-01", {"input": 4, "output": 4}],
    ]
    prices = make_list(["m", {"equals": "m"}, None, rows])
    assert input_price(prices.lookup("lab", "m", on=DAY)) == 4
    assert input_price(prices.lookup("lab", "m", on=date(2025, 1, 1))) == 10


def test_first_matching_model_wins() -> None:
    first = ["narrow", {"equals": "m-1"}, None, [["", {"input": 1, "output": 1}]]]
    second = ["wide", {"starts_with": "m"}, None, [["", {"input": 2, "output": 2}]]]
    prices = make_list(first, second)
    assert [input_price(prices.lookup("lab", name)) for name in ("m-1", "m-2")] == [1, 2]


def test_fallback_to_an_unknown_provider_is_ignored() -> None:
    assert make_list(fallbacks=["gone"]).lookup("lab", "m") is None


@pytest.mark.parametrize(
    ("clause", "text", "expected"),
    [
        ({"equals": "GPT-4o"}, "gpt-4O", True),
        ({"equals": "gpt-4o"}, "gpt-4o-mini", False),
        ({"starts_with": "Claude"}, "claude-3", True),
        ({"starts_with": "claude"}, "my-claude", False),
        ({"ends_with": "-Latest"}, "m-latest", True),
        ({"ends_with": "latest"}, "latest-m", False),
        ({"contains": "Llama"}, "meta-llama-3", True),
        ({"contains": "llama"}, "mistral", False),
        ({"regex": "^o[134]"}, "o3-mini", True),
        ({"regex": "^o[134]"}, "gpt-o3", False),
        ({"or": [{"equals": "a"}, {"equals": "b"}]}, "b", True),
        ({"or": []}, "b", False),
        ({"and": [{"contains": "a"}, {"contains": "b"}]}, "ab", True),
        ({"and": [{"contains": "a"}, {"contains": "b"}]}, "ac", False),
    ],
)
def test_match_clauses(clause: dict[str, Any], text: str, expected: bool) -> None:
    assert matches(clause, text) is expected


def test_unknown_match_clause_is_an_error() -> None:
    with pytest.raises(ValueError, match="sounds_like"):
        matches({"sounds_like": "gpt"}, "gpt")


@given(st.text(min_size=1, max_size=20), st.text(max_size=5), st.text(max_size=5))
def test_name_matches_its_own_parts(name: str, before: str, after: str) -> None:
    assert matches({"equals": name}, name)
    assert matches({"starts_with": name}, name + after)
    assert matches({"ends_with": name}, before + name)
    assert matches({"contains": name}, before + name + after)


def test_invalid_file_is_rejected() -> None:
    with pytest.raises(msgspec.DecodeError):
        PriceList(b'{"providers": []}')


def test_every_provider_of_the_shipped_file_parses(price_list: PriceList) -> None:
    snapshot = get_snapshot()
    assert set(price_list.providers) == {provider.id for provider in snapshot.providers}
    for provider in price_list.providers:
        assert price_list.lookup(provider, "no such model \N{SNOWMAN}") is None


def test_shipped_file_matches_the_installed_source() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build_prices.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


def test_file_contains_its_source_and_its_license() -> None:
    head = json.loads(DATA_FILE.read_bytes())
    assert head["source"] == "genai-prices"
    assert "Permission is hereby granted" in DATA_FILE.with_name("NOTICE").read_text(encoding="utf-8")


def test_loading_the_list_and_one_lookup_take_less_than_six_megabytes() -> None:
    """Resident memory of a fresh process that already has the modules, in pages: a bound on size, not on time."""
    program = (
        "import resource\n"
        "from intellirouter.catalog.prices import PriceList\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "before = resident()\n"
        "found = PriceList.load().lookup('openrouter', 'openai/gpt-4o')\n"
        "assert found is not None\n"
        "print(resident() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert int(run.stdout) < 6 * 1024 * 1024


def test_prices_are_those_of_the_source(price_list: PriceList) -> None:
    """Spot check against the source's own table, without its calculator."""
    source = next(model for provider, model in listed() if (provider.id, model.id) == ("openai", "gpt-4o"))
    stated = source.get_prices(NOON)
    entry = price_list.lookup("openai", "gpt-4o", on=DAY)
    assert input_price(entry) == int(Decimal(stated.input_mtok) * 1_000_000)
