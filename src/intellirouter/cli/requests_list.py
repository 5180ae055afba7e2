"""`intellirouter requests list`: a page of finished requests."""

from typing import Annotated

import typer

from intellirouter.cli.output import emit, grid, say
from intellirouter.cli.records import HEADINGS, NUMBERS, as_data, row
from intellirouter.cli.session import Session, gateway_command


@gateway_command
def list_requests(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Go on after a page.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="MODEL", help="Only this model.")] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", "-d", metavar="DEPLOYMENT", help="Only what this one served.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only what failed.")] = False,
) -> None:
    """List finished requests, newest first."""
    with session.gateway() as gateway:
        page = gateway.requests(limit=limit, before=before, model=model, deployment=deployment, errors=errors)
    data = {"requests": [as_data(record) for record in page.requests], "next": page.next}
    emit(data, session.output, lambda: [grid(HEADINGS, map(row, page.requests), right=NUMBERS)])
    if page.next is not None and session.output == "table":
        say(f"more: intellirouter requests list --before {page.next}")
