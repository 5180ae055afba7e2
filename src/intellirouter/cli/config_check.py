"""`intellirouter config check`: is this file right?"""

from typing import TYPE_CHECKING

import typer

from intellirouter.cli.configuration import ConfigFile, problems_listed
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import say

if TYPE_CHECKING:
    from intellirouter import roles
else:
    roles = LazyModule("intellirouter.roles")


def check(file: ConfigFile) -> None:
    """Check a configuration file without serving it.

    Reads it as `serve` would, environment included, resolves its secrets and checks every name. All problems are
    listed at once. Settings that have no effect in this version are warnings.
    """
    with problems_listed():
        runtime = roles.check(file)
    for warning in runtime.warnings:
        say(f"warning: {warning}")
    counted = (
        (len(runtime.providers), "provider"),
        (len(runtime.deployments), "deployment"),
        (len(runtime.models), "model"),
        (len(runtime.keys), "key"),
    )
    typer.echo(f"{file}: ok ({', '.join(_plural(count, word) for count, word in counted)})")


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
