"""Masks known credentials in texts of upstreams, which sometimes repeat the credential that they have refused. Pure.

Vendors show it whole, as a part (`key ending in wxyz`), or with the middle replaced (`sk-proj-abcd****wxyz`).
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from intellirouter.core.errors import GatewayError
    from intellirouter.core.secret import Secret

_MASK: Final = "***"
_MIN_SECRET_CHARS: Final = 5
"""Shorter values are no secrets, and would be found in ordinary words."""
_WORD_CHARS: Final = 12
"""Shorter secrets are only masked as whole words, because local servers often use words such as `ollama`."""
_MIN_SHOWN: Final = 3
"""Parts of a secret that are masked next to asterisks or the like."""
_MIN_HEAD: Final = 10
_MIN_TAIL: Final = 8
"""Parts of a secret that are masked wherever they are. Public prefixes such as `sk-proj-` are shorter."""
_MIDDLE: Final = re.compile(r"(?:[*•.#]|[^\x00-\x7f]){2,}+|…|[xX]{4,}+")
"""What replaces the middle of a secret."""
_SHOWN: Final = re.compile(r"[\w\-+/=]{0,80}+")
_MAX_SHOWN: Final = 80
_ENDING: Final = re.compile(r"(\bend(?:s|ed|ing)?\s+(?:in|with)\W{0,4})([\w\-+/=]{3,16})", re.IGNORECASE)
_TOKENS: Final = re.compile(r"\b(bearer\s+|ya29\.)[\w.~+/=\-]{12,}", re.IGNORECASE)
"""Access tokens, which are not part of the configuration."""


def mask_credentials(text: str, secrets: Sequence["Secret"]) -> str:
    """Return `text` with `***` in place of the secrets and of their recognizable parts."""
    if not text:
        return text
    text = _TOKENS.sub(rf"\1{_MASK}", text)
    for secret in secrets:
        values, encoded = _values(secret.reveal())
        for value in (*values, *encoded):
            text = _mask_whole(text, value)
        for value in values:
            text = _mask_parts(text, value)
    return text


def mask_credentials_in_bytes(data: bytes, secrets: Sequence["Secret"]) -> bytes:
    """The same for bytes, such as a vendor's error document, in any encoding that contains ASCII."""
    text = data.decode("latin-1")
    masked = mask_credentials(text, secrets)
    return data if masked == text else masked.encode("latin-1")


def mask_error(error: "GatewayError", secrets: Sequence["Secret"]) -> None:
    """Mask the secrets in everything that an error contains."""
    error.message = mask_credentials(error.message, secrets)
    error.code = mask_credentials(error.code, secrets)
    if error.param is not None:
        error.param = mask_credentials(error.param, secrets)
    body: bytes | None = getattr(error, "vendor_body", None)
    if body is not None:
        error.vendor_body = mask_credentials_in_bytes(body, secrets)  # type: ignore[attr-defined]


@lru_cache(maxsize=256)
def _values(secret: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the secret and the secrets in it, longest first, and encoded forms of them.

    An access key consists of several secrets, separated by colons or as members of JSON.
    """
    values = [secret]
    if secret.startswith("{"):
        try:
            document = json.loads(secret)
        except ValueError:
            document = {}
        values += [value for value in document.values() if isinstance(value, str) and _is_secret_member(value)]
    elif ":" in secret:
        values += [part for part in secret.split(":") if len(part) >= _WORD_CHARS]
    values = sorted({value for value in values if len(value) >= _MIN_SECRET_CHARS}, key=len, reverse=True)
    encoded = [
        form for value in values for form in (json.dumps(value)[1:-1], value.replace("/", "\\/"), quote(value, ""))
    ]
    return tuple(values), tuple([form for form in dict.fromkeys(encoded) if form not in values])


def _is_secret_member(value: str) -> bool:
    """Return whether a member of a key file may be secret. Addresses and URLs are not."""
    return len(value) >= 16 and "://" not in value and "@" not in value


def _mask_whole(text: str, value: str) -> str:
    if len(value) < _WORD_CHARS:
        return re.sub(rf"(?<![\w\-]){re.escape(value)}(?![\w\-])", _MASK, text)
    return text.replace(value, _MASK)


def _mask_parts(text: str, value: str) -> str:
    if len(value) < _WORD_CHARS:
        return text
    text = _ENDING.sub(lambda found: found[1] + _MASK if value.endswith(found[2]) else found[0], text)
    text = _without_shown_parts(text, value)
    return _mask_end(_mask_beginning(text, value), value)


def _without_shown_parts(text: str, value: str) -> str:
    """Return the text without the parts of the secret that partly masked words show."""
    pieces: list[str] = []
    done = 0
    for found in _MIDDLE.finditer(text):
        start, end = found.span()
        if start < done:
            continue
        before = text[max(done, start - _MAX_SHOWN) : start]
        after = text[end : end + _MAX_SHOWN]
        size = _SHOWN.match(before[::-1]).end()  # type: ignore[union-attr]  # it also matches nothing
        head, tail = before[len(before) - size :], _SHOWN.match(after)[0]  # type: ignore[index]
        sizes_head = range(len(head), _MIN_SHOWN - 1, -1)
        sizes_tail = range(len(tail), _MIN_SHOWN - 1, -1)
        shown_head = next((size for size in sizes_head if value.startswith(head[len(head) - size :])), 0)
        shown_tail = next((size for size in sizes_tail if value.endswith(tail[:size])), 0)
        if not shown_head and not shown_tail:
            continue
        pieces += (text[done : start - shown_head], _MASK, "" if shown_head and shown_tail else found[0])
        done = end + shown_tail
    return "".join([*pieces, text[done:]]) if pieces else text


def _mask_beginning(text: str, value: str) -> str:
    head, at = value[:_MIN_HEAD], 0
    while (at := text.find(head, at)) >= 0:
        end = at + _common(text[at : at + len(value)], value)
        text = text[:at] + _MASK + text[end:]
        at += len(_MASK)
    return text


def _mask_end(text: str, value: str) -> str:
    tail, at = value[-_MIN_TAIL:], 0
    while (at := text.find(tail, at)) >= 0:
        end = at + len(tail)
        begin = end - _common(text[max(0, end - len(value)) : end][::-1], value[::-1])
        text = text[:begin] + _MASK + text[end:]
        at = begin + len(_MASK)
    return text


def _common(left: Iterable[str], right: Iterable[str]) -> int:
    """Return how many characters at the beginning of both are equal."""
    size = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        size += 1
    return size
