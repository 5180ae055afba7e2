"""What the commands about stored credentials share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from intellirouter.cli.configuration import problems_listed
from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    from intellirouter import roles, store
else:
    roles = LazyModule("intellirouter.roles")
    store = LazyModule("intellirouter.store")

NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
CredentialName = Annotated[str, typer.Argument(metavar="NAME", help="What configurations call it: store:NAME.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The configuration that names the store."),
]


@contextmanager
def stored_credentials(config: Path | None) -> Iterator["store.CredentialStore"]:
    """Open the store of the configuration, and turn what goes wrong into failures."""
    with problems_listed():
        try:
            opened = roles.open_credentials(config)
            try:
                yield opened
            finally:
                opened.close()
        except store.CredentialError as error:
            raise Failure(error.message, error.hint, status=ExitStatus.FAILURE) from error
