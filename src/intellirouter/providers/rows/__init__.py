"""The vendors as data. An OpenAI-compatible vendor is one row; only vendors with a protocol of their own need code.

Base URLs, environment variables and quirks come from the vendors' public documentation, linked in each row's `docs`.
"""

from typing import Final

from intellirouter.core import VendorRow
from intellirouter.providers.rows.hosted import HOSTED
from intellirouter.providers.rows.local import LOCAL
from intellirouter.providers.rows.native import NATIVE

__all__ = ["VENDORS"]

_BUILT_IN: Final = (
    VendorRow(
        name="openai-compatible",
        title="Any OpenAI-compatible endpoint",
        base_url_hint="http://HOST:PORT/v1",
        needs_credential=False,
    ),
    VendorRow(name="host", title="Local model host", transport="host", needs_credential=False, is_free=True),
    VendorRow(
        name="fake",
        title="Built-in test models",
        transport="fake",
        operations=frozenset({"chat", "embeddings"}),
        needs_credential=False,
        is_free=True,
    ),
)

VENDORS: Final[dict[str, VendorRow]] = {row.name: row for row in (*NATIVE, *HOSTED, *LOCAL, *_BUILT_IN)}
