"""Compiles the settings of the Redis or Valkey server that stores answers."""

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import structs

from intellirouter.config.cache_section import Cache, RedisCache
from intellirouter.config.runtime import RedisSpec
from intellirouter.config.secret_references import SecretReferenceError, SecretSources, resolve_secret
from intellirouter.config.tree import Path
from intellirouter.config.value_types import MAX_SOCKET_BYTES, is_reference
from intellirouter.core import Secret

Report = Callable[[Path, str, str], None]
"""Takes the path of a problem, its message and its hint."""

_PATH: Final[Path] = ("cache", "redis")
_URL_HINT: Final = "Write `redis://HOST:PORT/DATABASE`, `rediss://HOST:PORT/DATABASE` for TLS, or `unix:/path/to.sock`."
_LOGIN_HINT: Final = "Set `username` and `password` instead, or set `url` to a reference to the whole URL, `env:NAME`."
_SCHEMES: Final = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
"""Whether the connection uses TLS, by scheme."""
_DEFAULT_PORT: Final = 6379
_MAX_DATABASE: Final = 65_535


class _InvalidUrl(Exception):
    """The message is a whole sentence without the URL."""


def compile_redis(cache: Cache, sources: SecretSources, report: Report) -> RedisSpec | None:
    """Return the server, and report every problem. None: answers are stored in the memory of the process."""
    if cache.backend != "redis":
        return None
    entry = cache.redis
    if entry.url is None:
        report((*_PATH, "url"), "The cache backend `redis` needs the URL of the server.", _URL_HINT)
        return None
    text, is_secret = _url_text(entry.url, sources, report), is_reference(entry.url)
    try:
        spec = RedisSpec() if text is None else _spec_of(text, may_have_login=is_secret)
    except _InvalidUrl as error:
        report((*_PATH, "url"), str(error), _LOGIN_HINT if "login" in str(error) else _URL_HINT)
        return None
    _check_consistent(entry, spec, report)
    return structs.replace(
        spec,
        database=spec.database if entry.database is None else entry.database,
        username=entry.username or spec.username,
        password=_password(entry, sources, report) or spec.password,
        ca_file=None if entry.ca_file is None else str(FilePath(entry.ca_file).expanduser()),
        prefix=entry.prefix,
        timeout_s=entry.timeout_s,
        connect_timeout_s=entry.connect_timeout_s,
    )


def _url_text(url: str, sources: SecretSources, report: Report) -> str | None:
    """Return the URL; None if it cannot be known here."""
    if not is_reference(url):
        return url
    if not sources.resolves:
        return None
    try:
        return resolve_secret(url, sources)
    except SecretReferenceError as error:
        report((*_PATH, "url"), error.message, error.hint)
        return None


def _password(entry: RedisCache, sources: SecretSources, report: Report) -> Secret | None:
    if entry.password is None:
        return None
    try:
        return Secret(resolve_secret(entry.password, sources))
    except SecretReferenceError as error:
        report((*_PATH, "password"), error.message, error.hint)
        return None


def _check_consistent(entry: RedisCache, spec: RedisSpec, report: Report) -> None:
    """Report settings that contradict each other or have no effect."""
    if entry.database is not None and spec.database not in {0, entry.database}:
        message = f"The URL names the database {spec.database}."
        report((*_PATH, "database"), message, "Remove one of the two numbers.")
    if entry.username is not None and entry.password is None and spec.password is None:
        report((*_PATH, "username"), "A user needs a password.", "Set `password: env:NAME` as well.")
    if entry.ca_file is None:
        return
    if not (spec.is_tls or is_reference(entry.url or "")):
        report((*_PATH, "ca_file"), "It has no effect without TLS.", "Use a `rediss://` URL, or remove this setting.")
    elif not FilePath(entry.ca_file).expanduser().is_file():
        report((*_PATH, "ca_file"), f"The file {entry.ca_file} does not exist.", "Check the path.")


def _spec_of(url: str, *, may_have_login: bool) -> RedisSpec:
    """Return the address in a URL, and its login. Raises `_InvalidUrl`."""
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/"):
            raise _InvalidUrl("A Unix socket must have an absolute path.")
        if len(url.encode()) > MAX_SOCKET_BYTES:
            raise _InvalidUrl("The path of a Unix socket must not be longer than 107 bytes.")
        return RedisSpec(uds="/" + path.lstrip("/"))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _InvalidUrl("The URL has an invalid host or port.") from None
    is_tls = _SCHEMES.get(parts.scheme)
    if is_tls is None:
        raise _InvalidUrl("The URL must start with `redis://`, `rediss://` or `unix:/`.")
    if not host or port == 0:
        raise _InvalidUrl("The URL has an invalid host or port.")
    if parts.query or parts.fragment:
        raise _InvalidUrl("The URL must not have a query or a fragment.")
    if "@" in parts.netloc and not may_have_login:
        raise _InvalidUrl("The URL must not contain a login.")
    return RedisSpec(
        host=host,
        port=port or _DEFAULT_PORT,
        is_tls=is_tls,
        database=_database(parts),
        username=unquote(parts.username) if parts.username else None,
        password=Secret(unquote(parts.password)) if parts.password else None,
    )


def _database(parts: SplitResult) -> int:
    number = parts.path.strip("/") or "0"
    if not number.isascii() or not number.isdigit() or len(number) > 5 or int(number) > _MAX_DATABASE:
        raise _InvalidUrl("The path of the URL must be the number of a database.")
    return int(number)
