"""The directives of a request's `Cache-Control` header that the response cache obeys. Pure.

Source: RFC 9111, section 5.2.1.
"""

from typing import Final

from msgspec import Struct

_MAX_DIGITS: Final = 9
_FOREVER_S: Final = 2**31
"""RFC 9111, section 1.2.2: an overflowing number of seconds."""


class CacheDirectives(Struct, frozen=True, kw_only=True):
    """What a client demands of the cache. Without directives, all members have their defaults."""

    no_store: bool = False
    """The answer is neither stored nor taken from the cache."""
    no_cache: bool = False
    """A stored answer must not be used. The new answer is stored."""
    max_age_s: int | None = None
    """A stored answer must not be older."""
    only_if_cached: bool = False
    """The model must not be called."""

    def accepts(self, age_s: float) -> bool:
        """Return whether a stored answer of this age may be used."""
        return not self.no_cache and (self.max_age_s is None or age_s <= self.max_age_s)


def parse_directives(value: bytes) -> CacheDirectives | None:
    """Return the directives of a `Cache-Control` header; None if it has none that the cache obeys.

    An invalid `max-age` counts as zero, as RFC 9111 recommends for invalid ages.
    """
    found = dict(map(_name_and_argument, value.split(b",")))
    directives = CacheDirectives(
        no_store=b"no-store" in found,
        no_cache=b"no-cache" in found,
        max_age_s=_seconds(found[b"max-age"]) if b"max-age" in found else None,
        only_if_cached=b"only-if-cached" in found,
    )
    return None if directives == _NONE else directives


_NONE: Final = CacheDirectives()


def _name_and_argument(directive: bytes) -> tuple[bytes, bytes]:
    name, _, argument = directive.partition(b"=")
    return name.strip().lower(), argument.strip().strip(b'"')


def _seconds(text: bytes) -> int:
    if not text.isdigit():
        return 0
    digits = text.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _MAX_DIGITS else _FOREVER_S
