"""`intellirouter credentials remove`: delete a stored credential."""

import typer

from intellirouter.cli.exits import Failure
from intellirouter.cli.stored import ConfigOption, CredentialName, stored_credentials


def remove_credential(name: CredentialName, config: ConfigOption = None) -> None:
    """Delete a stored credential. A running gateway uses it until its next start or reload."""
    with stored_credentials(config) as store:
        was_there = store.remove(name)
    if not was_there:
        raise Failure(f"there is no stored credential {name}", "intellirouter credentials list")
    typer.echo(f"removed {name}")
