"""`intellirouter config schema`: the JSON Schema of the configuration file."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import encoded

if TYPE_CHECKING:
    from intellirouter import config
else:
    config = LazyModule("intellirouter.config")


def schema(
    output: Annotated[
        Literal["json", "yaml"], typer.Option("--format", metavar="json|yaml", help="How it is printed.")
    ] = "json",
) -> None:
    """Print the JSON Schema of the configuration file, for editors and for checks elsewhere."""
    typer.echo(encoded(config.config_schema(), output).rstrip("\n"))
