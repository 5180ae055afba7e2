"""`intellirouter serve`: run the gateway."""

import gc
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.config_options import OptionalConfigFile, report_config_errors, takes_config_file
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.standard_streams import ignore_output_errors

if TYPE_CHECKING:
    from intellirouter import config, roles
else:
    config = LazyModule("intellirouter.config")
    roles = LazyModule("intellirouter.roles")


@takes_config_file
def serve(
    file: OptionalConfigFile = None,
    is_discovery: Annotated[
        bool, typer.Option("--discover", help="Ignore intellirouter.yaml, and serve what this machine offers.")
    ] = False,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", metavar="PORT", min=0, max=65535, help="Port to listen on; 0 picks a free one."),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="ROLE", help="Parts of the gateway that this process runs, such as monolith."),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level", metavar="LEVEL", help="Lowest level to log: debug, info, warning, error or critical."
        ),
    ] = None,
) -> None:
    """Run the gateway until it receives SIGINT (Ctrl-C) or SIGTERM.

    The configuration file is FILE, or else intellirouter.yaml in the working directory. Without a file, the gateway
    serves what it finds: providers with an API key in the environment, model servers on this machine, and the bundled
    small model. Command-line options override environment variables, which override the file.
    """
    ignore_output_errors()
    gc.disable()  # the start-up creates no garbage worth collecting; the server enables it again
    options = {"server.host": host, "server.port": port, "server.role": role, "logging.level": log_level}
    overrides: dict[str, object] = {setting: value for setting, value in options.items() if value is not None}
    if is_discovery and file is not None:
        raise typer.BadParameter("Use either --config or --discover.", param_hint="--discover")
    with report_config_errors():
        path = None if is_discovery else config.file_or_default(file)
        status = roles.serve(path, overrides)
    raise typer.Exit(status)
