"""The kinds of value that settings are made of: names, references to secrets, switches, prices, sizes."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

DIGEST_PREFIX: Final = "sha256:"
_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"
# A key that was written where its name belongs is refused, and not repeated.
_STORED: Final = "store:(?!(sk|pk|gsk|xai|hf|ghp|nvapi)[-_]|AIza|AKIA)[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_REFERENCE = re.compile(rf"(env:{_VARIABLE}(\+{_VARIABLE})*|file:.+|{_STORED})\Z", re.DOTALL)
_DIGEST = re.compile(r"sha256:[0-9a-fA-F]{64}\Z")
_USERINFO = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#]*@", re.IGNORECASE)
_REFERENCE_PATTERN: Final = rf"^(env:{_VARIABLE}(\+{_VARIABLE})*|file:.+|{_STORED})$"
_KEY_PATTERN: Final = rf"^(env:{_VARIABLE}(\+{_VARIABLE})*|file:.+|{_STORED}|sha256:[0-9a-fA-F]{{64}})$"

PUBLIC_NAME_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._:/@+-]{0,198}[A-Za-z0-9._:@+-])?$"
MAX_SOCKET_BYTES: Final = 107 + len("unix:")
FORBIDDEN_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "x-goog-api-key", "api-key", "proxy-authorization", "cookie"}
)
"""Headers that carry credentials: those are references, not text in a file."""
OWNED_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})
"""Headers that the transport writes itself."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


def artifact_model(artifact: str) -> str:
    """Name the model that an artifact holds: `bundled:smollm2-135m` and `/w/smollm2-135m.gguf` both `smollm2-135m`."""
    return artifact.rpartition(":")[2].rpartition("/")[2].removesuffix(".gguf")


def _check_reference(value: str) -> str:
    if _REFERENCE.match(value):
        return value
    raise PydanticCustomError("secret", "a secret must be a reference, never the value itself")


def _check_key(value: str) -> str:
    return value.lower() if _DIGEST.match(value) else _check_reference(value)


def _check_base_url(value: str) -> str:
    if value.startswith("unix:"):
        if not value[5:].startswith("/"):
            raise PydanticCustomError("base_url", "a unix socket is written unix:/absolute/path")
        if len(value.encode()) > MAX_SOCKET_BYTES:
            raise PydanticCustomError("base_url", "the path of a unix socket has at most 107 bytes")
        return value
    if not re.match(r"https?://[^/\s?#]", value, re.IGNORECASE):
        raise PydanticCustomError("base_url", "must begin with http://, https:// or unix:/")
    if _USERINFO.match(value):
        raise PydanticCustomError("base_url", "must not contain a user or password; use credential: env:NAME")
    if re.search(r"[\s?#]", value):
        raise PydanticCustomError("base_url", "must not contain spaces, a query or a fragment")
    try:
        port = urlsplit(value).port
    except ValueError:
        port = 0
    if port == 0:
        raise PydanticCustomError("base_url", "has an impossible host or port")
    return value


def _check_headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        folded = name.lower()
        if folded in FORBIDDEN_HEADERS:
            raise PydanticCustomError("header", "{name} carries a credential; use credential: env:NAME", {"name": name})
        if folded in OWNED_HEADERS or not _HEADER_NAME.match(name):
            raise PydanticCustomError("header", "{name} cannot be set here", {"name": name})
        if not text.isascii() or any(ord(char) < 32 or ord(char) == 127 for char in text):
            raise PydanticCustomError("header", "the value of {name} must be printable ASCII", {"name": name})
    return value


def _switch_to_text(value: Any) -> Any:
    # YAML 1.1 reads an unquoted `off` as False; whoever wrote it meant the word.
    return "off" if value is False else value


def _fold_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _level_name(value: Any) -> Any:
    return {"warn": "warning", "fatal": "critical"}.get(folded, folded) if (folded := _fold_case(value)) else value


Switch = BeforeValidator(_switch_to_text)
FoldedCase = BeforeValidator(_fold_case)
LevelName = BeforeValidator(_level_name)

SecretRef = Annotated[str, AfterValidator(_check_reference), Field(json_schema_extra={"pattern": _REFERENCE_PATTERN})]
"""`env:NAME` (`env:A+B`: both, joined by `:`), `file:PATH` or `store:NAME`."""
KeyRef = Annotated[str, AfterValidator(_check_key), Field(json_schema_extra={"pattern": _KEY_PATTERN})]
"""As `SecretRef`, or the digest of a key: `sha256:` and 64 hex digits."""
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
Headers = Annotated[dict[str, str], AfterValidator(_check_headers)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Of a provider or a tenant: letters, digits, `.`, `_`, `-`."""
ProviderRegion = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""Part of a host name."""
PublicName = Annotated[str, StringConstraints(pattern=PUBLIC_NAME_PATTERN)]
"""Of a deployment or a model: a name with `/`, `:`, `@` and `+` as well. It travels in headers, so it is ASCII."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Usd = Annotated[Decimal, Field(strict=False, ge=0, le=1_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Retries = Annotated[int, Field(ge=0, le=10)]
