"""`intellirouter credentials rekey`: seal all stored credentials with another key."""

from typing import TYPE_CHECKING

import typer

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.stored import ConfigOption, stored_credentials

if TYPE_CHECKING:
    from intellirouter import config as configuration
    from intellirouter import store as storage
else:
    configuration = LazyModule("intellirouter.config")
    storage = LazyModule("intellirouter.store")


def rekey_credentials(config: ConfigOption = None) -> None:
    """Seal all stored credentials with another key.

    The key beside the database is replaced by a new one. Where INTELLIR_SECRET_KEY states the key, state the next one
    in INTELLIR_SECRET_KEY_NEW, and put it into INTELLIR_SECRET_KEY afterwards.
    """
    stated = storage.KEY_VARIABLE
    variables = configuration.process_environment()
    with stored_credentials(config) as store:
        count = store.rekey(variables.get(f"{stated}_NEW"))
    typer.echo(f"sealed {count} stored credential{'' if count == 1 else 's'} with the new key")
    if variables.get(stated, "").strip():
        typer.echo(f"put the new key into {stated} now")
