"""`intellirouter init`: write a configuration file for what this machine offers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.config_options import report_config_errors
from intellirouter.cli.errors import CommandError
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import print_line, printable

if TYPE_CHECKING:
    from intellirouter import config, core, roles
else:
    config = LazyModule("intellirouter.config")
    core = LazyModule("intellirouter.core")
    roles = LazyModule("intellirouter.roles")


def init(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="YAML file to write; - writes to standard output.", readable=False
        ),
    ] = Path("intellirouter.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a configuration file for what this machine offers.

    Looks for provider API keys in the environment and for model servers on their default ports. Keys are written as
    references to environment variables, never as values. Comments in the file explain the settings.
    """
    is_file = str(output) != "-"
    if is_file and os.path.lexists(output) and not force:
        hint = "Choose another file with --output, or overwrite it with --force."
        raise CommandError(f"The file {output} already exists.", hint)
    if output.suffix.lower() == ".toml":  # `serve` would read it as TOML
        raise CommandError(f"Cannot write {output}, because `init` writes YAML.", "Choose a name that ends in .yaml.")
    with report_config_errors():
        discovery = roles.discover_here(config.process_environment())
    text = config.render_config(discovery)
    if not is_file:
        print_line(text.rstrip("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"Cannot write {output}: {error.strerror}.") from error
    for finding in discovery.findings:
        print_line(f"Added: {printable(finding)}")
    option = "" if output == config.DEFAULT_FILE else f" --config {output}"
    print_line(f"Wrote {output}. To start the gateway, run: {core.program_name()} serve{option}")
