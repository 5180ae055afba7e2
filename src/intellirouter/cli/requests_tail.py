"""`intellirouter requests tail`: requests as they finish."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import Format, encoded, printable, say
from intellirouter.cli.records import as_data, is_failed, line
from intellirouter.cli.session import Session, gateway_command

if TYPE_CHECKING:
    from intellirouter import client, core
else:
    client = LazyModule("intellirouter.client")


@gateway_command
def tail(
    session: Session,
    count: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, max=200, help="How many past ones first.")
    ] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Go on with new ones.")] = True,
    errors: Annotated[bool, typer.Option("--errors", help="Only what failed.")] = False,
) -> None:
    """Show the last requests and then each one as it finishes, until interrupted.

    With --format json each request is one line (JSON Lines); with yaml each is a document.
    """
    with session.gateway() as gateway:
        for record in _records(gateway, count, follow, errors):
            if not errors or is_failed(record):
                typer.echo(_rendered(record, session.output))
    if follow:
        say("the gateway ended the feed")


def _records(
    gateway: "client.Client", count: int, is_following: bool, only_errors: bool
) -> Iterator["core.ExchangeRecord"]:
    """Yield past and new records once each. The feed is opened first, so that none falls between the two."""
    if not is_following:
        yield from _past(gateway, count, only_errors)
        return
    with gateway.tail() as feed:
        seen = set()
        for record in _past(gateway, count, only_errors):
            seen.add(record.request_id)
            yield record
        for record in feed:
            if record.request_id in seen:
                seen.discard(record.request_id)
            else:
                yield record


def _past(gateway: "client.Client", count: int, only_errors: bool) -> Iterator["core.ExchangeRecord"]:
    """Yield the last `count` records, oldest first. One that retention deletes meanwhile is left out."""
    if count == 0:
        return
    for summary in reversed(gateway.requests(limit=count, errors=only_errors).requests):
        with suppress(client.NotFoundError):
            yield gateway.request(summary.request_id)


def _rendered(record: "core.ExchangeRecord", output: Format) -> str:
    if output == "table":
        return printable(line(record))
    return encoded(as_data(record), output, is_one_line=True).rstrip("\n")
