"""Turns the JSON of exchange records into rows of the tables. No SQL, no I/O.

Only the fields that are columns are decoded. The JSON itself becomes the body of the log row, unchanged.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import astuple

from intellirouter.core import ExchangeRecord
from intellirouter.store.record_columns import LEDGER_ONLY, LOG_ONLY, SHARED

Value = str | int | float | None

# The values of a record are decoded in this order: columns of the log only, of both tables, of the ledger only, usage.
# So the row of either table is one slice of them, and what its table adds.
_LEDGER_START: Final = len(LOG_ONLY)
_LOG_END: Final = len(LOG_ONLY) + len(SHARED)


def _decoded_fields() -> Iterator[tuple[str, Any] | tuple[str, Any, Any]]:
    declared = {field.name: field for field in msgspec.structs.fields(ExchangeRecord)}
    types = {column.name: column.decoded_type for column in (*LOG_ONLY, *SHARED, *LEDGER_ONLY)}
    types["usage"] = declared["usage"].type
    for name, decoded_type in types.items():
        default = declared[name].default
        yield (name, decoded_type) if default is NODEFAULT else (name, decoded_type, default)


_decode = msgspec.json.Decoder(msgspec.defstruct("_Values", _decoded_fields(), kw_only=True, gc=False)).decode


class RecordRows(Struct):
    """Rows of both tables, as multi-row statements take them: one flat list of values per table."""

    log: list[Value]
    ledger: list[Value]
    records: int
    rejected: list[bytes]
    """Bodies that are not exchange records."""


def rows_of(bodies: Sequence[bytes]) -> RecordRows:
    """Return the rows of these records. A record without usage has no row in the ledger."""
    log: list[Value] = []
    ledger: list[Value] = []
    rejected: list[bytes] = []
    for body in bodies:
        try:
            values = astuple(_decode(body))
            text = body.decode()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            rejected.append(body)
            continue
        log += values[:_LOG_END]
        log += (len(body), text)
        usage = values[-1]
        if usage is not None:
            ledger += values[_LEDGER_START:-1]
            ledger += astuple(usage)
    return RecordRows(log=log, ledger=ledger, records=len(bodies) - len(rejected), rejected=rejected)
