"""The types of values that settings are made of: names, secret references, URLs, headers, prices, sizes."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from intellirouter.config.problems import quoted
from intellirouter.core import ProxyUrlError, proxy_at

DIGEST_PREFIX: Final = "sha256:"
INVALID_VALUE: Final = "invalid_value"
"""Type of the errors raised here; their context holds `message` and `hint`, both whole sentences."""
_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"
# Rejects a key that was written where its name belongs, so that the key is never repeated in a message.
STORED_PATTERN: Final = "store:(?!(sk|pk|gsk|xai|hf|ghp|nvapi)[-_]|AIza|AKIA)[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_REFERENCE = re.compile(rf"(env:{_VARIABLE}(\+{_VARIABLE})*|file:.+|{STORED_PATTERN})\Z", re.DOTALL)
_DIGEST = re.compile(r"sha256:[0-9a-fA-F]{64}\Z")
_SHA256_PATTERN: Final = "[0-9a-fA-F]{64}"
_USERINFO = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#]*@", re.IGNORECASE)
_REFERENCE_PATTERN: Final = rf"^(env:{_VARIABLE}(\+{_VARIABLE})*|file:.+|{STORED_PATTERN})$"
_KEY_PATTERN: Final = rf"^(env:{_VARIABLE}(\+{_VARIABLE})*|file:.+|{STORED_PATTERN}|sha256:[0-9a-fA-F]{{64}})$"

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
REGION_PATTERN: Final = r"^[a-z][a-z0-9-]{0,62}$"
PUBLIC_NAME_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._:/@+-]{0,198}[A-Za-z0-9._:@+-])?$"
NO_PROXY: Final = "none"
MAX_SOCKET_BYTES: Final = 107 + len("unix:")
FORBIDDEN_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "x-goog-api-key", "api-key", "proxy-authorization", "cookie"}
)
"""Headers that carry credentials. Credentials are references, never plain values in a file."""
OWNED_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})
"""Headers that the transport sets."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_HOST_NAME = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\Z")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s?#@]+/?\Z")
_LEVELS: Final = {"warn": "warning", "fatal": "critical"}
_NOT_A_REFERENCE: Final = "A secret must be a reference, not the value itself."
_USE_REFERENCE: Final = (
    "Use `env:NAME` for an environment variable, `file:PATH` for a file, or `store:NAME` for a stored credential."
)
_USE_CREDENTIAL: Final = "Set `credential: env:NAME` instead."


def artifact_model(artifact: str) -> str:
    """Return the model in an artifact: `smollm2-135m` for `bundled:smollm2-135m` and for `/w/smollm2-135m.gguf`."""
    return artifact.rpartition(":")[2].rpartition("/")[2].removesuffix(".gguf")


def _invalid(message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError(INVALID_VALUE, "{message}", {"message": message, "hint": hint})


def _check_reference(value: str) -> str:
    if _REFERENCE.match(value):
        return _check_text(value)
    raise _invalid(_NOT_A_REFERENCE, _USE_REFERENCE)


def _check_key(value: str) -> str:
    if _DIGEST.match(value):
        return value.lower()
    if value.lower().startswith(DIGEST_PREFIX):
        raise _invalid(
            "A SHA-256 digest must have 64 hexadecimal digits.",
            "Write it as `sha256:` and the 64 digits that `printf %s KEY | sha256sum` prints.",
        )
    if _REFERENCE.match(value):
        return _check_text(value)
    raise _invalid(_NOT_A_REFERENCE, f"{_USE_REFERENCE} A key can also be given as `sha256:` and its SHA-256 digest.")


def _check_sha256(value: str) -> str:
    """Return the digits in lower case. The prefix that container registries and publishers write is accepted."""
    digits = value.lower().removeprefix(DIGEST_PREFIX)
    if not re.fullmatch(_SHA256_PATTERN, digits):
        raise _invalid(
            "A SHA-256 digest must have 64 hexadecimal digits.", "Write the digits that `sha256sum FILE` prints."
        )
    return digits


def _check_base_url(value: str) -> str:
    if value.startswith("unix:"):
        if not value[5:].startswith("/"):
            raise _invalid("A Unix socket must have an absolute path.", "Write it as `unix:/path/to.sock`.")
        if len(value.encode()) > MAX_SOCKET_BYTES:
            raise _invalid("The path of a Unix socket must not be longer than 107 bytes.")
        return value
    if not re.match(r"https?://[^/\s?#]", value, re.IGNORECASE):
        raise _invalid("The URL must start with `http://`, `https://` or `unix:/`.")
    if _USERINFO.match(value):
        raise _invalid("The URL must not contain a user name or a password.", _USE_CREDENTIAL)
    if re.search(r"[\s?#]", value):
        raise _invalid("The URL must not contain spaces, a query or a fragment.")
    try:
        port = urlsplit(value).port
    except ValueError:
        port = 0
    if port == 0:
        raise _invalid("The URL has an invalid host or port.")
    return value


def is_reference(value: str) -> bool:
    """Return whether a value refers to a secret, instead of being the value itself."""
    return _REFERENCE.match(value) is not None


def _check_proxy(value: str) -> str:
    if value.lower() == NO_PROXY:
        return NO_PROXY
    if not is_reference(value):
        try:
            proxy_at(value)
        except ProxyUrlError as error:
            raise _invalid(error.message, error.hint) from None
    return value


def _no_proxy(value: Any) -> Any:
    # YAML 1.1 reads an unquoted `off` or `no` as False.
    return NO_PROXY if value is False else value


def _check_headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        folded = name.lower()
        if folded in FORBIDDEN_HEADERS:
            raise _invalid(f"The header {quoted(name)} carries a credential.", _USE_CREDENTIAL)
        if folded in OWNED_HEADERS:
            raise _invalid(f"The header {quoted(name)} is set by the gateway and cannot be overridden.", "Remove it.")
        if not _HEADER_NAME.match(name):
            raise _invalid(f"{quoted(name)} is not a valid header name.")
        if not text.isascii() or any(ord(char) < 32 or ord(char) == 127 for char in text):
            raise _invalid(f"The value of the header {quoted(name)} must be printable ASCII.")
    return value


def _check_text(value: str) -> str:
    if "\0" in value:  # no path and no name can contain it
        raise _invalid("The value contains a null character.", "Remove it.")
    return value


def _switch_to_text(value: Any) -> Any:
    # YAML 1.1 reads an unquoted `off` as False.
    return "off" if value is False else value


def _check_key_prefix(value: str) -> str:
    if re.fullmatch("[!-~]{1,100}", value):
        return value
    raise _invalid("The prefix must be 1 to 100 printable ASCII characters without spaces.")


def _fold_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _level_name(value: Any) -> Any:
    folded = _fold_case(value)
    return _LEVELS.get(folded, folded) if isinstance(folded, str) else value


def _check_host_name(value: str) -> str:
    if value == "*" or _HOST_NAME.match(value):
        return value.lower()
    raise _invalid(f"{quoted(value)} is not a host name.", "Write the name alone, without scheme, port and path.")


def _check_origin(value: str) -> str:
    if value == "*" or _ORIGIN.match(value):
        return value.rstrip("/").lower()
    hint = "Write it as `https://app.example.com` or `http://localhost:3000`, without a path."
    raise _invalid(f"{quoted(value)} is not an origin.", hint)


Switch = BeforeValidator(_switch_to_text)
FoldedCase = BeforeValidator(_fold_case)
LevelName = BeforeValidator(_level_name)

Sha256 = Annotated[
    str, AfterValidator(_check_sha256), Field(json_schema_extra={"pattern": rf"^({DIGEST_PREFIX})?{_SHA256_PATTERN}$"})
]
SecretRef = Annotated[str, AfterValidator(_check_reference), Field(json_schema_extra={"pattern": _REFERENCE_PATTERN})]
"""`env:NAME` (`env:A+B` joins two variables with `:`), `file:PATH` or `store:NAME`."""
KeyRef = Annotated[str, AfterValidator(_check_key), Field(json_schema_extra={"pattern": _KEY_PATTERN})]
"""Like `SecretRef`, or the digest of a key: `sha256:` and 64 hexadecimal digits."""
HostName = Annotated[str, AfterValidator(_check_host_name)]
"""A name, an address, or `*`. In lower case."""
Origin = Annotated[str, AfterValidator(_check_origin)]
"""Scheme, host and port of a web page, or `*`. In lower case."""
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
ProxySetting = Annotated[str, AfterValidator(_check_proxy), BeforeValidator(_no_proxy)]
"""The URL of a proxy, a reference to one, or `none`."""
Headers = Annotated[dict[str, str], AfterValidator(_check_headers)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""Name of a provider or a tenant."""
ProviderRegion = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
"""Becomes part of a host name."""
PublicName = Annotated[str, StringConstraints(pattern=PUBLIC_NAME_PATTERN)]
"""Name of a deployment or a model. It is sent in headers, so it is ASCII."""
KeyPrefix = Annotated[str, AfterValidator(_check_key_prefix)]
"""Beginning of the keys in a key-value store."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_check_text)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Usd = Annotated[Decimal, Field(strict=False, ge=0, le=1_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Retries = Annotated[int, Field(ge=0, le=10)]
