"""How connections leave the machine: proxies, and certificates for TLS. Pure.

The rules for environment variables are those of curl and Go, where the two agree. Where they do not, the comments say
which one is followed.
"""

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct, structs

from intellirouter.core.secret import Secret

_PORTS: Final = {"http": 80, "https": 443}
_USE_HTTP: Final = "Write it as `http://HOST:PORT`."
_UNUSABLE: Final = re.compile(r"[\x00-\x20\x7f]")

_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class ProxyUrlError(ValueError):
    """The URL of a proxy cannot be used. The message never contains the URL, which may contain a password."""

    def __init__(self, message: str, hint: str = _USE_HTTP) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Proxy(Struct, frozen=True, kw_only=True):
    """An HTTP proxy. Its str and repr do not contain the user name and the password."""

    host: str
    port: int
    is_tls: bool = False
    """The connection to the proxy itself uses TLS."""
    login: Secret | None = None
    """`USER:PASSWORD`."""
    variable: str = ""
    """The environment variable that names the proxy, or empty."""
    problem: str = ""
    """Why a proxy of the environment cannot be used. Connections that need it fail, instead of going around it."""

    def __str__(self) -> str:
        if not self.host:
            return f"of the environment variable {self.variable}"
        return f"{'https' if self.is_tls else 'http'}://{format_authority(self.host, self.port)}"

    @property
    def authorization(self) -> str | None:
        """The value of the header Proxy-Authorization."""
        if self.login is None:
            return None
        return f"Basic {base64.b64encode(self.login.reveal().encode()).decode()}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What has to be masked in texts that come through the proxy."""
        if self.login is None:
            return ()
        encoded = base64.b64encode(self.login.reveal().encode()).decode()
        password = self.login.reveal().partition(":")[2]
        return (self.login, Secret(encoded), *([Secret(password)] if password else []))


class ProxyRules(Struct, frozen=True, kw_only=True):
    """Which connections use which proxy."""

    http: Proxy | None = None
    https: Proxy | None = None
    exceptions: tuple[str, ...] = ()
    """Entries of NO_PROXY."""
    has_loopback: bool = False
    """Connections to this machine use the proxy as well, because it was configured for them."""

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for connections to this host, or None if they are direct. `host` is not in brackets."""
        proxy = self.https if scheme in {"https", "wss"} else self.http
        if proxy is None:
            return None
        host = host.lower().rstrip(".").partition("%")[0]
        address = _ip_address(host)
        if not self.has_loopback and _is_loopback(host, address):
            return None
        return None if any(_matches(entry, host, port, address) for entry in self.exceptions) else proxy


DIRECT: Final = ProxyRules()
"""No connection uses a proxy."""


class ClientCertificate(Struct, frozen=True, kw_only=True):
    """The certificate with which the gateway identifies itself to an upstream (mTLS)."""

    cert_file: str
    key_file: str | None = None
    """None: the private key is in the same file."""
    key_password: Secret | None = None


class TrustFiles(Struct, frozen=True):
    """Certificate authorities that are trusted in addition to those of the system."""

    paths: tuple[tuple[str, str], ...] = ()
    """Environment variable and path of a file or a directory."""


SYSTEM_TRUST: Final = TrustFiles()
"""Only the certificate authorities of the system are trusted."""


def format_authority(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def proxy_at(url: str) -> Proxy:
    """Parse `[http[s]://][USER[:PASSWORD]@]HOST[:PORT]`. Raises `ProxyUrlError`."""
    text = url.strip()
    scheme, separator, _ = text.partition("://")
    if not separator:
        text, scheme = f"http://{text}", "http"
    scheme = scheme.lower()
    if scheme.startswith("socks"):
        raise ProxyUrlError("SOCKS proxies are not supported.", "Use an HTTP proxy, such as `http://HOST:PORT`.")
    if scheme not in _PORTS:
        raise ProxyUrlError("The URL of a proxy must start with `http://` or `https://`.")
    parts, port = _split(text)
    host = (parts.hostname or "").rstrip(".")
    if not host or port == 0 or _UNUSABLE.search(host):
        raise ProxyUrlError("The URL of the proxy has an invalid host or port.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ProxyUrlError(
            "The URL of a proxy must not contain a path, a query or a fragment.",
            "Percent-encode the characters `/`, `?`, `#` and `@` in its user name and password.",
        )
    login = None
    if parts.username is not None:
        login = Secret(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    return Proxy(host=host, port=port or _PORTS[scheme], is_tls=scheme == "https", login=login)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if _UNUSABLE.search(url):
        raise ProxyUrlError("The URL of the proxy contains spaces or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ProxyUrlError("The URL of the proxy has an invalid host or port.") from None
    return parts, port


def environment_proxies(environ: Mapping[str, str]) -> ProxyRules:
    """Return the rules of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. Lower case takes precedence, as in curl."""
    http_names = ["http_proxy", "HTTP_PROXY"]
    if "REQUEST_METHOD" in environ:
        http_names.remove("HTTP_PROXY")  # in a CGI script, it is a header that the client has sent
    for_all = ["all_proxy", "ALL_PROXY"]
    exceptions = next((text for name in ("no_proxy", "NO_PROXY") if (text := environ.get(name, "").strip())), "")
    return ProxyRules(
        http=_environment_proxy(environ, [*http_names, *for_all]),
        https=_environment_proxy(environ, ["https_proxy", "HTTPS_PROXY", *for_all]),
        exceptions=tuple(entry.lower() for entry in re.split(r"[\s,]+", exceptions) if entry),
    )


def environment_trust(environ: Mapping[str, str]) -> TrustFiles:
    """Return the files and directories of the usual variables for certificate authorities."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    paths = [(name, path) for name in names if (path := environ.get(name, "").strip())]
    paths += [("SSL_CERT_DIR", path) for path in environ.get("SSL_CERT_DIR", "").split(":") if path.strip()]
    return TrustFiles(tuple(paths))


def _environment_proxy(environ: Mapping[str, str], names: list[str]) -> Proxy | None:
    name = next((name for name in names if environ.get(name, "").strip()), None)
    if name is None:
        return None
    try:
        proxy = proxy_at(environ[name])
    except ProxyUrlError as error:
        return Proxy(host="", port=0, variable=name, problem=f"{error.message} {error.hint}")
    return structs.replace(proxy, variable=name)


def _ip_address(text: str) -> _IpAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_loopback(host: str, address: _IpAddress | None) -> bool:
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host == "localhost" or host.endswith(".localhost")


def _matches(entry: str, host: str, port: int, address: _IpAddress | None) -> bool:
    """Return whether an entry of NO_PROXY applies.

    A domain applies to itself and its subdomains, with a leading dot too (curl; in Go, the dot excludes the domain
    itself). A network applies to addresses, not to names that resolve to them.
    """
    if entry == "*":
        return True
    name, entry_port = _split_port(entry)
    if entry_port is not None and entry_port != str(port):
        return False
    if address is None:
        domain = name.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network


def _split_port(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":") or None
    name, colon, port = entry.rpartition(":")
    return (name, port) if colon and ":" not in name else (entry, None)
