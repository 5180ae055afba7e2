"""The vendors, as data. An OpenAI-compatible vendor is one row; code is written only where a protocol demands it.

Addresses, environment names and quirks are from the vendors' public documentation, which each row's `docs` names.
"""

from typing import Final

from intellirouter.core import VendorRow
from intellirouter.providers.rows.hosted import HOSTED
from intellirouter.providers.rows.local import LOCAL
from intellirouter.providers.rows.native import NATIVE

__all__ = ["VENDORS"]

_OURS: Final = (
    VendorRow(
        name="openai-compatible",
        title="Any OpenAI-compatible endpoint",
        base_url_hint="http://HOST:PORT/v1",
        needs_credential=False,
    ),
    VendorRow(name="host", title="Our own Model Host", transport="host", needs_credential=False, is_free=True),
    VendorRow(name="fake", title="Magic models for tests", transport="fake", needs_credential=False, is_free=True),
)

VENDORS: Final[dict[str, VendorRow]] = {row.name: row for row in (*NATIVE, *HOSTED, *LOCAL, *_OURS)}
