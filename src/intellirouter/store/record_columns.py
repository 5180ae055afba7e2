"""Which fields of an exchange record are columns, derived from the annotations of `core.ExchangeRecord`. No SQL."""

import types
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from intellirouter.core import ExchangeRecord, RecordColumn, SmallInt, Usage


class Column(Struct, frozen=True, kw_only=True):
    """One column of the exchange log or of the ledger."""

    name: str
    value_type: type
    """`str`, `int`, `float` or `bool`."""
    is_small: bool = False
    """True for an integer of 32 bits."""
    is_nullable: bool = False

    @property
    def decoded_type(self) -> Any:
        return self.value_type | None if self.is_nullable else self.value_type


def _columns(struct: type[Struct]) -> dict[Column, RecordColumn]:
    """Return a column for each field of `struct` that holds a single value, with its mark."""
    found = {}
    for name, annotation in get_type_hints(struct, include_extras=True).items():
        marks = getattr(annotation, "__metadata__", ())
        plain = annotation.__origin__ if marks else annotation
        options = get_args(plain) if get_origin(plain) in {Union, types.UnionType} else (plain,)
        value_type = options[0]
        if value_type in {str, int, float, bool}:
            column = Column(
                name=name,
                value_type=value_type,
                is_small=any(isinstance(mark, SmallInt) for mark in marks),
                # JSON has no NaN: a float that is not a number is stored as null.
                is_nullable=type(None) in options or value_type is float,
            )
            found[column] = next((mark for mark in marks if isinstance(mark, RecordColumn)), RecordColumn())
    return found


_RECORD: Final = _columns(ExchangeRecord)
LOG_ONLY: Final = tuple(column for column, mark in _RECORD.items() if mark.is_in_log and not mark.is_in_ledger)
SHARED: Final = tuple(column for column, mark in _RECORD.items() if mark.is_in_log and mark.is_in_ledger)
LEDGER_ONLY: Final = tuple(column for column, mark in _RECORD.items() if mark.is_in_ledger and not mark.is_in_log)
USAGE: Final = tuple(_columns(Usage))
"""Every field of the record's usage is a column of the ledger."""
SIZE: Final = Column(name="size_bytes", value_type=int)
BODY: Final = Column(name="body", value_type=str)
"""The record as JSON, and its size: what the log has in addition to fields of the record."""

LOG_COLUMNS: Final = (*LOG_ONLY, *SHARED, SIZE, BODY)
LEDGER_COLUMNS: Final = (*SHARED, *LEDGER_ONLY, *USAGE)
