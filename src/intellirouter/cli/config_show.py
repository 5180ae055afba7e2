"""`intellirouter config show`: what is in force, and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.configuration import OptionalConfigFile, problems_listed
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import emit, grid
from intellirouter.cli.session import Output

if TYPE_CHECKING:
    from intellirouter import config
else:
    config = LazyModule("intellirouter.config")


def show(
    file: OptionalConfigFile = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    output: Output = "table",
) -> None:
    """Show every setting with the value that is in force.

    The file, the environment and the defaults are merged as `serve` merges them. Secrets are shown as the references
    they are.
    """
    with problems_listed():
        loaded = config.load_config(file)
    settings = config.effective_settings(loaded, with_origin=origin)
    if origin:
        data: dict[str, Any] = {each.path: {"value": each.value, "origin": each.origin} for each in settings}
        emit(data, output, lambda: [grid(("SETTING", "VALUE", "ORIGIN"), settings)])
    else:
        data = {each.path: each.value for each in settings}
        emit(data, output, lambda: [grid(("SETTING", "VALUE"), data.items())])
