"""What the commands about the catalog share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.configuration import problems_listed
from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    from intellirouter import catalog, roles
else:
    catalog = LazyModule("intellirouter.catalog")
    roles = LazyModule("intellirouter.roles")

CatalogConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The configuration that names the database."),
]

__all__ = ["CatalogConfig", "listed_problems", "roles"]


@contextmanager
def listed_problems() -> Iterator[None]:
    """Turn what is wrong with the configuration or the price list into a failure."""
    with problems_listed():
        try:
            yield
        except catalog.PriceFileError as error:
            raise Failure(str(error), "Nothing was changed.", status=ExitStatus.FAILURE) from error
