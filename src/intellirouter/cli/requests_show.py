"""`intellirouter requests show`: one request, whole."""

from typing import Annotated

import typer

from intellirouter.cli.output import emit
from intellirouter.cli.records import as_data, whole
from intellirouter.cli.session import Session, gateway_command


@gateway_command
def show(
    session: Session,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The x-request-id of its answer.")],
) -> None:
    """Show one finished request: who served it and why, every attempt over time, tokens and cost."""
    with session.gateway() as gateway:
        record = gateway.request(request_id)
    emit(as_data(record), session.output, lambda: whole(record))
