"""Price lists in files: reading either format, checking every entry, comparing and installing.

The two formats are our compact one (as in `data/prices.json`, which `scripts/build_prices.py` writes) and the one that
the genai-prices project publishes (`data.json`, `data_slim.json`: a list of providers).
"""

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.catalog.genai_list import to_compact
from intellirouter.catalog.prices import PriceEntry, PriceList, matches
from intellirouter.core.json_errors import describe_json_error

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_CLAUSES: Final = 64
_KINDS: Final = frozenset({"equals", "starts_with", "ends_with", "contains", "regex"})
_MAX_RATE: Final = 2**53


class PriceFileError(Exception):
    """The file cannot be used. The message is a sentence that names the file and, if possible, the entry."""


class Comparison(Struct, frozen=True, kw_only=True):
    """The size of a list, and its differences from another one."""

    version: str
    providers: int
    models: int
    priced: int
    added: tuple[str, ...]
    """Names as `provider/model`, as in the lists."""
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Models in both lists whose current price or context window differs."""


def read_prices(path: Path) -> PriceList:
    """Read and check a price list in either format. Raises `PriceFileError`."""
    return PriceList(_compact(path))


def _compact(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PriceFileError(f"The file {path} is larger than {_MAX_BYTES} bytes.")
        data = path.read_bytes()
    except OSError as error:
        raise PriceFileError(f"The file {path} cannot be read: {error.strerror or error}.") from None
    try:
        if not _is_compact(data):
            version = f"sha256:{hashlib.sha256(data).hexdigest()[:12]}"
            data = to_compact(data, version)
        _check(PriceList(data))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise PriceFileError(f"The file {path} is not a valid price list: {describe_json_error(error)}.") from None
    except ValueError as error:
        raise PriceFileError(f"The file {path} is not a valid price list: {error}.") from None
    return data


class _Shape(Struct):
    providers: msgspec.Raw = msgspec.Raw()


def _is_compact(data: bytes) -> bool:
    """Return whether `data` is in our format, where providers are an object and not a list."""
    if data.lstrip()[:1] == b"[":
        return False
    return bytes(msgspec.json.decode(data, type=_Shape).providers).lstrip()[:1] == b"{"


def _check(prices: PriceList) -> None:
    """Check every entry, because entries are otherwise parsed only when they are looked up. Raises ValueError."""
    is_priced = False
    for provider in prices.providers:
        try:
            match, models = prices.rows(provider)
        except msgspec.DecodeError as error:
            raise ValueError(describe_json_error(error, f"providers.{provider}")) from None
        if match is not None:
            _check_clause(match, provider)
        for model_id, clause, periods in models:
            place = f"{provider}/{model_id}"
            _check_clause(clause, place)
            for rule, rates in periods:
                _check_period(rule, rates, place)
                is_priced = is_priced or bool(rates)
    if not is_priced:
        raise ValueError("it contains no price")


def _check_clause(clause: dict[str, Any], place: str, depth: int = 0) -> None:
    kind, wanted = next(iter(clause.items())) if len(clause) == 1 else ("", None)
    if kind in {"or", "and"} and isinstance(wanted, list) and wanted and depth < _MAX_CLAUSES:
        for part in wanted:
            _check_clause(part if isinstance(part, dict) else {}, place, depth + 1)
        return
    if kind not in _KINDS or not isinstance(wanted, str):
        raise ValueError(f"{place}: the match clause must be one of {', '.join(sorted(_KINDS))}, or, and")
    try:
        matches(clause, "")
    except re.error:
        raise ValueError(f"{place}: the regular expression {wanted!r} is not valid") from None


def _check_period(rule: str, rates: dict[str, int], place: str) -> None:
    if rule not in {"", "daily"}:
        try:
            date.fromisoformat(rule)
        except ValueError:
            raise ValueError(f'{place}: the rule {rule!r} is not "daily" or a date such as 2026-01-31') from None
    for bucket, rate in rates.items():
        if bucket not in PriceList.BUCKETS:
            raise ValueError(f"{place}: unknown bucket {bucket!r}, known buckets are {', '.join(PriceList.BUCKETS)}")
        if not 0 <= rate <= _MAX_RATE:
            raise ValueError(f"{place}: the price of {bucket} is out of range")
    if rates and not {"input", "output"} <= rates.keys():
        raise ValueError(f"{place}: input and output must both have a price")


def compare(new: PriceList, old: PriceList) -> Comparison:
    """Return the size of `new`, and its differences from `old`."""
    ours, theirs = dict(_entries(new)), dict(_entries(old))
    return Comparison(
        version=new.version,
        providers=len(new.providers),
        models=len(ours),
        priced=sum(entry.price is not None for entry in ours.values()),
        added=tuple(name for name in ours if name not in theirs),
        removed=tuple(name for name in theirs if name not in ours),
        changed=tuple(name for name, entry in ours.items() if name in theirs and _differs(entry, theirs[name])),
    )


def _entries(prices: PriceList) -> Iterator[tuple[str, PriceEntry]]:
    for provider in prices.providers:
        for entry in prices.entries(provider):
            yield f"{provider}/{entry.model_id}", entry


def _differs(one: PriceEntry, other: PriceEntry) -> bool:
    if one.context_tokens != other.context_tokens or (one.price is None) is not (other.price is None):
        return True
    if one.price is None or other.price is None:
        return False
    return any(getattr(one.price, bucket) != getattr(other.price, bucket) for bucket in PriceList.BUCKETS)


def install_prices(source: Path, target: Path, replaced: PriceList) -> Comparison:
    """Check `source` and replace `target` with it, in the compact format. Raises `PriceFileError`.

    The replacement is atomic: concurrent readers of `target` get the old file or the new one.
    """
    data = _compact(source)
    comparison = compare(PriceList(data), replaced)
    draft = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise PriceFileError(f"The file {target} cannot be written: {error.strerror or error}.") from None
    return comparison
