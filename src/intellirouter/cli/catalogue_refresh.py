"""`intellirouter catalog refresh`: a newer price list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from intellirouter.cli.output import emit
from intellirouter.cli.priced import CatalogConfig, listed_problems, roles
from intellirouter.cli.session import Output

_SHOWN: Final = 10


def refresh(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A price list: genai-prices' data.json, or our own form.")
    ],
    config: CatalogConfig = None,
    is_check: Annotated[bool, typer.Option("--check", help="Only check and compare; install nothing.")] = False,
    output: Output = "table",
) -> None:
    """Check a price list and install it beside the database. A running gateway takes it at its next reload."""
    with listed_problems():
        done = roles.refresh_catalogue(config, file, is_check=is_check)
    found = done.comparison
    data = {"installed": done.installed, **{name: getattr(found, name) for name in found.__struct_fields__}}
    emit(data, output, lambda: _blocks(done))


def _blocks(done: Any) -> Iterator[str]:
    found = done.comparison
    yield f"{found.version}: {found.models} models of {found.providers} providers, {found.priced} with a price"
    for word, names in (("new", found.added), ("gone", found.removed), ("changed", found.changed)):
        more = f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
        yield f"{len(names)} {word}" + (f": {', '.join(names[:_SHOWN])}{more}" if names else "")
    if done.installed is None:
        yield "checked; nothing was installed"
    else:
        yield f"installed as {done.installed}; a running gateway takes it after SIGHUP or a restart"
