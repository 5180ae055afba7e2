"""`intellirouter serve`: run the gateway."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.configuration import problems_listed
from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    from intellirouter import roles
else:
    roles = LazyModule("intellirouter.roles")


def serve(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Configuration. Without it: what this machine offers."),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", metavar="PORT", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = None,
    role: Annotated[str | None, typer.Option("--role", metavar="ROLE", help="Which parts run here.")] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
    ] = None,
) -> None:
    """Run the gateway until it is told to stop.

    Without a configuration file it serves what it finds: provider keys in the environment, local model servers, and
    the small model that comes with it. Flags win over the environment, which wins over the file.
    """
    stated = {"server.host": host, "server.port": port, "server.role": role, "logging.level": log_level}
    overrides: dict[str, object] = {path: value for path, value in stated.items() if value is not None}
    with problems_listed():
        status = roles.serve(config, overrides)
    raise typer.Exit(status)
