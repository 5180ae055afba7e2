"""`intellirouter init`: write down what was found, as a configuration to edit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.configuration import problems_listed
from intellirouter.cli.exits import Failure
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import printable

if TYPE_CHECKING:
    from intellirouter import config, roles
else:
    config = LazyModule("intellirouter.config")
    roles = LazyModule("intellirouter.roles")


def init(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write; - for standard output.")
    ] = Path("intellirouter.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a commented configuration file of what this machine offers.

    Looks for provider keys in the environment and for local model servers on their usual ports. Keys are written as
    references to their environment variables, never as values.
    """
    is_file = str(output) != "-"
    if is_file and output.exists() and not force:
        raise Failure(f"{output} exists already", "Choose another name with --output, or replace it with --force.")
    with problems_listed():
        discovery = roles.discover_here(config.process_environment())
    text = config.render_config(discovery)
    if not is_file:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}") from error
    for finding in discovery.findings:
        typer.echo(f"found: {printable(finding)}")
    typer.echo(f"wrote {output}; next: intellirouter serve --config {output}")
