"""`intellirouter catalog`: the price list in use, and how to update it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.command_group import CommandGroup
from intellirouter.cli.config_options import StoreConfigOption, chosen_file, report_config_errors
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import OutputOption, format_count, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import catalog, roles
else:
    catalog = LazyModule("intellirouter.catalog")
    roles = LazyModule("intellirouter.roles")

_COLUMNS: Final = (
    ("MODEL", "model"),
    ("CONTEXT", "context_tokens"),
    ("IN $/1M", "input_per_1m_usd"),
    ("OUT $/1M", "output_per_1m_usd"),
    ("CACHED $/1M", "cache_read_per_1m_usd"),
    ("NOT INCLUDED", "not_covered"),
)
_PUSD_PER_USD_1M: Final = 1_000_000
_MAX_LISTED_NAMES: Final = 10


def catalog_commands() -> typer.Typer:
    group = CommandGroup(help="Show and update model prices and context windows.")
    group.command("refresh")(refresh)
    group.command("show")(show)
    return group


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn errors in the configuration or in the price list into command errors."""
    with report_config_errors():
        try:
            yield
        except catalog.PriceFileError as error:
            raise CommandError(str(error), "Nothing was changed.", status=ExitStatus.FAILURE) from error


def refresh(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Price list: the data.json of genai-prices, or IntelliRouter's own format.",
            readable=False,  # it is reported by the command
        ),
    ],
    config_file: StoreConfigOption = None,
    is_check: Annotated[
        bool, typer.Option("--check", help="Check the file and compare it with the list in use; do not install it.")
    ] = False,
    output: OutputOption = "table",
) -> None:
    """Check a price list and install it next to the database. A running gateway loads it at its next reload."""
    with _report_errors():
        result = roles.refresh_catalog(chosen_file(config_file), file, is_check=is_check)
    comparison = result.comparison
    data = {"installed": result.installed} | {name: getattr(comparison, name) for name in comparison.__struct_fields__}
    print_data(data, output, lambda: _comparison_lines(result))


def _comparison_lines(result: "roles.Refreshed") -> Iterator[str]:
    found = result.comparison
    models, providers = format_count(found.models, "model"), format_count(found.providers, "provider")
    yield f"{found.version}: {models} from {providers}, {found.priced} with a price."
    for change, names in (("added", found.added), ("removed", found.removed), ("changed", found.changed)):
        more = f", … ({len(names) - _MAX_LISTED_NAMES} more)" if len(names) > _MAX_LISTED_NAMES else ""
        yield f"{len(names)} {change}" + (f": {', '.join(names[:_MAX_LISTED_NAMES])}{more}" if names else "")
    if result.installed is None:
        yield "The list is valid. It was not installed."
    else:
        yield f"Installed {result.installed}. A running gateway loads it after SIGHUP or a restart."


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PROVIDER[/MODEL]", help="Provider as named in the price list, optionally with a model."
        ),
    ],
    config_file: StoreConfigOption = None,
    output: OutputOption = "table",
) -> None:
    """Show the prices and context windows of models.

    Prices are in US dollars per million tokens. The price of a model that is not listed is unknown, not zero; the
    command then fails. The last column names charges that the prices do not include, such as higher prices for long
    prompts (tiers).
    """
    provider, _, model = name.partition("/")
    with _report_errors():
        found = roles.look_up(chosen_file(config_file), provider, model or None)
    rows = [_model_row(entry) for entry in found.entries]
    data = {"version": found.version, "file": found.file, "provider": found.provider, "models": rows}
    print_data(data, output, lambda: _model_blocks(found, rows))
    if not rows:
        hint = f"Did you mean `{found.suggestion}`?" if found.suggestion else ""
        raise CommandError(
            f"The price list does not contain `{name}`. Its price and its context window are unknown.",
            hint,
            status=ExitStatus.FAILURE,
        )


def _model_blocks(found: "roles.CatalogInUse", rows: list[dict[str, Any]]) -> Iterator[Any]:
    yield f"{found.version} ({found.file or 'built in'})"
    if not rows:
        return
    headings = [heading for heading, _ in _COLUMNS]
    yield make_table(
        headings,
        [[row[key] for _, key in _COLUMNS] for row in rows],
        right=headings[1:5],
        wrapped=("NOT INCLUDED",),
        optional=("CACHED $/1M", "NOT INCLUDED", "CONTEXT", "OUT $/1M", "IN $/1M"),
    )


def _model_row(entry: "catalog.PriceEntry") -> dict[str, Any]:
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
        "cache_write_1h_per_1m_usd": usd("cache_write_1h"),
        "capabilities": None if entry.capabilities is None else sorted(entry.capabilities),
        "not_covered": list(entry.not_covered),
    }
