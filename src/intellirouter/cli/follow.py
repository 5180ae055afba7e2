"""Follows finished requests. If the connection is lost, it reconnects, and no request is missed or repeated."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import print_notice

if TYPE_CHECKING:
    from intellirouter import client, core
else:
    client = LazyModule("intellirouter.client")

MAX_OUTAGE_S: Final = 60.0
"""How long the gateway may be unreachable, for example while it restarts."""
_FIRST_DELAY_S: Final = 0.5
_MAX_DELAY_S: Final = 5.0
_SHORT_S: Final = 5.0
_MAX_SHORT: Final = 3
"""Connections in a row that end within `_SHORT_S` without a new request."""
_PAGE_SIZE: Final = 200
_MAX_REMEMBERED: Final = 10_000


class Outage:
    """Decides how long to wait before the next connection. Pure: the caller passes the time."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._attempts = 0
        self._short = 0

    @property
    def has_begun(self) -> bool:
        return self._began_s is not None

    def next_delay_s(self, now_s: float, *, was_connected: bool) -> float:
        """Return the delay after a connection that was short or could not be opened. Raises `CommandError`."""
        if self._began_s is None:
            self._began_s = now_s
        self._short += was_connected
        if self._short > _MAX_SHORT:
            raise _failure("The gateway closes the connection again and again.")
        delay_s = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._attempts, 10))
        if now_s + delay_s - self._began_s > MAX_OUTAGE_S:
            raise _failure(f"The gateway could not be reached again within {MAX_OUTAGE_S:g} s.")
        self._attempts += 1
        return delay_s

    def end(self) -> None:
        """Record that a connection works."""
        self._began_s, self._attempts, self._short = None, 0, 0


def _failure(message: str) -> CommandError:
    hint = "Check the gateway, and run the command again when it is available."
    return CommandError(message, hint, status=ExitStatus.UNREACHABLE)


class _Printed:
    """The IDs of the requests that were printed or are too old, up to a limit."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self.oldest: str | None = None
        """Requests before this one are too old. None: no request is known yet. Empty: none is too old."""

    def add(self, request_id: str) -> bool:
        """Return whether the ID is new."""
        if request_id in self._ids:
            return False
        self._ids[request_id] = None
        if self.oldest is None:
            self.oldest = request_id
        if len(self._ids) > _MAX_REMEMBERED:
            forgotten = next(iter(self._ids))
            del self._ids[forgotten]
            self.oldest = max(self.oldest, forgotten)
        return True

    def is_missed(self, request_id: str) -> bool:
        """Return whether the request is neither printed nor too old. IDs are in the order of time."""
        return self.oldest is not None and request_id > self.oldest and request_id not in self._ids


def follow_requests(gateway: "client.Client", count: int, *, only_errors: bool) -> "Iterator[core.ExchangeRecord]":
    """Yield the last `count` requests and then new ones as they finish, once each. Raises `CommandError` at the end."""
    printed, outage, is_first = _Printed(), Outage(), True
    while True:
        opened_s: float | None = None
        reason = "The gateway closed the connection."
        try:
            with gateway.tail() as feed:
                opened_s = time.monotonic()
                if is_first:
                    yield from _past(gateway, count, printed, only_errors=only_errors)
                else:
                    print_notice("Reconnected.")
                    yield from _missed(gateway, printed, only_errors=only_errors)
                is_first = False
                for record in feed:
                    if printed.add(record.request_id):
                        outage.end()
                        yield record
        except client.IntelliRouterError as error:
            if is_first or not _is_temporary(error):
                raise
            reason = error.message
        now_s = time.monotonic()
        if opened_s is not None and now_s - opened_s >= _SHORT_S:
            outage.end()
        if not outage.has_begun:
            print_notice(f"{reason} Reconnecting for up to {MAX_OUTAGE_S:g} s.")
        time.sleep(outage.next_delay_s(now_s, was_connected=opened_s is not None))


def _is_temporary(error: "client.IntelliRouterError") -> bool:
    if isinstance(error, client.GatewayUnreachableError | client.RateLimitError):
        return True
    return error.status is not None and error.status >= 500


def _past(
    gateway: "client.Client", count: int, printed: _Printed, *, only_errors: bool
) -> "Iterator[core.ExchangeRecord]":
    """Yield the last `count` requests, oldest first, and remember older ones, which must not be printed later."""
    if count == 0:
        return
    found = gateway.requests(limit=_PAGE_SIZE, errors=only_errors)
    page = found.requests
    if found.next is None:
        printed.oldest = ""
    for number, summary in enumerate(reversed(page)):
        is_shown = len(page) - number <= count
        if printed.add(summary.request_id) and is_shown:
            yield from _record(gateway, summary.request_id)


def _missed(gateway: "client.Client", printed: _Printed, *, only_errors: bool) -> "Iterator[core.ExchangeRecord]":
    """Yield the requests that finished while there was no connection, oldest first."""
    page = gateway.requests(limit=_PAGE_SIZE, errors=only_errors)
    missed = [each.request_id for each in page.requests if printed.is_missed(each.request_id)]
    if page.next is not None and len(missed) == len(page.requests):
        print_notice(f"More than {_PAGE_SIZE} requests have finished in the meantime. Only the newest are shown.")
    for request_id in reversed(missed):
        if printed.add(request_id):
            yield from _record(gateway, request_id)


def _record(gateway: "client.Client", request_id: str) -> "Iterator[core.ExchangeRecord]":
    """Yield a record, unless retention has deleted it in the meantime."""
    with suppress(client.NotFoundError):
        yield gateway.request(request_id)
