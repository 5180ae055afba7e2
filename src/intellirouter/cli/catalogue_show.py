"""`intellirouter catalog show`: what the price list in use says."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from intellirouter.cli.output import emit, grid
from intellirouter.cli.priced import CatalogConfig, listed_problems, roles
from intellirouter.cli.session import Output

_COLUMNS: Final = (
    ("MODEL", "model"),
    ("CONTEXT", "context_tokens"),
    ("IN $/1M", "input_per_1m_usd"),
    ("OUT $/1M", "output_per_1m_usd"),
    ("CACHED $/1M", "cache_read_per_1m_usd"),
    ("NOT COVERED", "not_covered"),
)
_PUSD_PER_USD_1M: Final = 1_000_000


def show(
    name: Annotated[str, typer.Argument(metavar="PROVIDER[/MODEL]", help="As the price list calls the provider.")],
    config: CatalogConfig = None,
    output: Output = "table",
) -> None:
    """Show prices and context windows, per million tokens. What is not listed is unknown, which is not free."""
    provider, _, model = name.partition("/")
    with listed_problems():
        found = roles.look_up(config, provider, model or None)
    rows = [_row(entry) for entry in found.entries]
    data = {"version": found.version, "file": found.file, "provider": found.provider, "models": rows}
    emit(data, output, lambda: _blocks(found, rows))


def _blocks(found: Any, rows: list[dict[str, Any]]) -> Iterator[Any]:
    yield f"{found.version} ({found.file or 'built in'})"
    if not rows:
        yield "not listed: its price and its context window are unknown"
        return
    headings = [heading for heading, _ in _COLUMNS]
    yield grid(headings, [[row[key] for _, key in _COLUMNS] for row in rows], right=headings[1:5])


def _row(entry: Any) -> dict[str, Any]:
    def usd(bucket: str) -> str | None:
        rate = None if entry.price is None else getattr(entry.price, bucket)
        return None if rate is None else f"{rate / _PUSD_PER_USD_1M:.6g}"

    return {
        "model": entry.model_id,
        "context_tokens": entry.context_tokens,
        "input_per_1m_usd": usd("input"),
        "output_per_1m_usd": usd("output"),
        "cache_read_per_1m_usd": usd("cache_read"),
        "cache_write_per_1m_usd": usd("cache_write"),
        "capabilities": None if entry.capabilities is None else sorted(entry.capabilities),
        "not_covered": list(entry.not_covered),
    }
