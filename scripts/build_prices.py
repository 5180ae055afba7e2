"""Write the compact price list of the gateway from the genai-prices package.

    python -m scripts.build_prices            write src/intellirouter/catalog/data/prices.json
    python -m scripts.build_prices --check    fail if that file differs from the installed genai-prices

The output depends only on the version of genai-prices. It has one model per line, so that updates are readable diffs.
"""

import argparse
import json
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from genai_prices.data import providers as source_providers
from genai_prices.types import StartDateConstraint, TieredPrices, TimeOfDateConstraint

from intellirouter.core import pusd_per_token

OUTPUT: Final = Path(__file__).parents[1] / "src" / "intellirouter" / "catalog" / "data" / "prices.json"

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
"""Price keys of the source (US dollars per million tokens) -> buckets of core.Price."""

CLAUSES: Final = {
    "ClauseEquals": ("equals", "equals"),
    "ClauseStartsWith": ("starts_with", "starts_with"),
    "ClauseEndsWith": ("ends_with", "ends_with"),
    "ClauseContains": ("contains", "contains"),
    "ClauseRegex": ("regex", "regex"),
    "ClauseOr": ("or", "or_"),
    "ClauseAnd": ("and", "and_"),
}
"""Class of the source -> our key and the attribute of the source."""


def clause(source: Any) -> dict[str, Any]:
    key, attribute = CLAUSES[type(source).__name__]
    value = getattr(source, attribute)
    return {key: [clause(part) for part in value] if key in {"or", "and"} else value}


def rule(constraint: Any) -> str:
    if constraint is None:
        return ""
    if isinstance(constraint, StartDateConstraint):
        return str(constraint.start_date.isoformat())
    if isinstance(constraint, TimeOfDateConstraint):
        return "daily"
    raise TypeError(f"Unknown price constraint {constraint!r}.")


def is_free(model: Any) -> bool:
    """Return whether a model without prices is free, as opposed to unknown. The source has no field for this."""
    words = f"{model.price_comments or ''} {model.description or ''}".lower()
    return ":free" in model.id or "free of charge" in words or "included in the subscription" in words


def kind_of_charge(price_key: str) -> str:
    """`web_searches_kcount` -> `web_searches`, `cache_write_1h_mtok` -> `cache_write_1h`; `audio_hours` stays."""
    return price_key.removesuffix("_mtok").removesuffix("_kcount")


def rates(model: Any, prices: Any) -> tuple[dict[str, int], list[str]]:
    """Return pico-USD per token by bucket, and the charges without a bucket."""
    given = {key: value for key, value in prices.__dict__.items() if value is not None}
    if not given and is_free(model):
        return {"input": 0, "output": 0}, []
    found: dict[str, int] = {}
    not_covered: list[str] = []
    for key, value in given.items():
        bucket = BUCKETS.get(key)
        if bucket is None:
            not_covered.append(kind_of_charge(key))
            continue
        if isinstance(value, TieredPrices) and "tiers" not in not_covered:
            not_covered.append("tiers")
        base: Decimal = value.base if isinstance(value, TieredPrices) else value
        found[bucket] = pusd_per_token(base)
    if found:
        # A direction without a price is free: embeddings return no tokens, speech synthesis takes none.
        found = {"input": 0, "output": 0} | found
    return found, sorted(not_covered)


def model_row(model: Any) -> list[Any]:
    conditional = model.prices if isinstance(model.prices, list) else None
    tables = (
        [("", model.prices)] if conditional is None else [(rule(each.constraint), each.prices) for each in conditional]
    )
    periods: list[list[Any]] = []
    for when, prices in tables:
        table, not_covered = rates(model, prices)
        periods.append([when, table, not_covered] if not_covered else [when, table])
    return [model.id, clause(model.match), model.context_window, periods]


def render() -> str:
    """Return the content of the file: JSON with one model per line."""
    blocks: list[str] = []
    for provider in sorted(source_providers, key=lambda each: each.id):
        head: dict[str, Any] = {}
        if provider.provider_match is not None:
            head["match"] = clause(provider.provider_match)
        if provider.fallback_model_providers:
            head["fallbacks"] = provider.fallback_model_providers
        # The order of the models decides which one matches first, so it is that of the source.
        rows = ",\n".join(compact(model_row(model)) for model in provider.models)
        fields = "".join(f"{compact(key)}:{compact(value)},\n" for key, value in head.items())
        blocks.append(f'{compact(provider.id)}:{{\n{fields}"models":[\n{rows}\n]}}')
    facts = {
        "source": "genai-prices",
        "version": version("genai-prices"),
        "license": "MIT, see NOTICE in this directory",
    }
    lines = "".join(f"{compact(key)}:{compact(value)},\n" for key, value in facts.items())
    body = ",\n".join(blocks)
    return f'{{\n{lines}"providers":{{\n{body}\n}}\n}}\n'


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the price list from the installed genai-prices.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    text = render()
    if arguments.check:
        if OUTPUT.is_file() and OUTPUT.read_text(encoding="utf-8") == text:
            return 0
        print(
            f"{OUTPUT} differs from genai-prices {version('genai-prices')}. Run python -m scripts.build_prices.",
            file=sys.stderr,
        )
        return 1
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(text, encoding="utf-8")
    print(f"wrote {OUTPUT} ({len(text.encode()):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
