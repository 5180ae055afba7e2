"""Compiles how connections to a provider leave the machine: its proxy and its client certificate."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from intellirouter.config.problems import ConfigProblem, listed
from intellirouter.config.runtime import ProviderSpec
from intellirouter.config.schema import Provider
from intellirouter.config.secret_references import SecretReferenceError, SecretSources, resolve_secret
from intellirouter.config.tree import Path, format_path
from intellirouter.config.value_types import NO_PROXY, is_reference
from intellirouter.core import DIRECT, ClientCertificate, Proxy, ProxyRules, ProxyUrlError, Secret, proxy_at

Report = Callable[[Path, str, str], None]
"""Takes the path of a problem, its message and its hint."""


class EgressCompiler:
    """Compiles the settings of all providers, and reports every problem."""

    def __init__(self, environment: ProxyRules, sources: SecretSources, report: Report) -> None:
        """`environment` holds for providers without a proxy of their own."""
        self._environment = environment
        self._sources = sources
        self._report = report

    def proxies(self, entry: Provider, path: Path) -> ProxyRules:
        """Return the rules for connections to a provider."""
        if entry.proxy is None:
            return self._environment
        if entry.proxy == NO_PROXY:
            return DIRECT
        path = (*path, "proxy")
        if (entry.base_url or "").startswith("unix:"):
            self._report(path, "A unix socket is not reached through a proxy.", "Remove this setting.")
            return DIRECT
        url = entry.proxy
        if is_reference(url):
            if not self._sources.resolves:
                return DIRECT
            try:
                url = resolve_secret(url, self._sources)
            except SecretReferenceError as error:
                self._report(path, error.message, error.hint)
                return DIRECT
        try:
            proxy = proxy_at(url)
        except ProxyUrlError as error:
            self._report(path, error.message, error.hint)
            return DIRECT
        return ProxyRules(http=proxy, https=proxy, has_loopback=True)

    def client_certificate(self, entry: Provider, path: Path) -> ClientCertificate | None:
        """Return the files of the client certificate. They are read when the gateway connects."""
        if entry.client_cert_file is None:
            for name in ("client_key_file", "client_key_password"):
                if getattr(entry, name) is not None:
                    hint = "Set `client_cert_file` as well, or remove this setting."
                    self._report((*path, name), "A private key needs a certificate.", hint)
            return None
        password = None
        if entry.client_key_password is not None:
            try:
                password = Secret(resolve_secret(entry.client_key_password, self._sources))
            except SecretReferenceError as error:
                self._report((*path, "client_key_password"), error.message, error.hint)
        key_file = entry.client_key_file
        return ClientCertificate(
            cert_file=str(FilePath(entry.client_cert_file).expanduser()),
            key_file=None if key_file is None else str(FilePath(key_file).expanduser()),
            key_password=password,
        )


def environment_problems(providers: Iterable[ProviderSpec]) -> list[ConfigProblem]:
    """Return a problem for each variable with a proxy that a provider would need and that cannot be used."""
    unusable: dict[str, tuple[Proxy, list[str]]] = {}
    for provider in providers:
        proxy = provider.proxy
        if proxy is not None and proxy.problem:
            unusable.setdefault(proxy.variable, (proxy, []))[1].append(provider.name)
    return [
        ConfigProblem(
            "",
            f"The proxy in {variable}, which {listed(names)} would need, cannot be used.",
            f"{proxy.problem} To connect without a proxy, set `proxy: none` in the provider, or NO_PROXY.",
            f"env {variable}",
        )
        for variable, (proxy, names) in unusable.items()
    ]


def egress_warnings(
    entries: Mapping[str, Provider], providers: Mapping[str, ProviderSpec], origin: Callable[[Path], str]
) -> Iterator[str]:
    """Yield what is valid, but hardly intended. `origin` returns where a setting comes from."""
    for name, entry in entries.items():
        path: Path = ("providers", name)
        spec = providers.get(name)
        if entry.client_cert_file is not None and spec is not None and urlsplit(spec.base_url or "").scheme != "https":
            setting = format_path((*path, "client_cert_file"))
            yield f"{setting}: It has no effect, because `base_url` does not start with https://."
        has_password = entry.proxy is not None and not is_reference(entry.proxy) and "@" in entry.proxy
        if has_password and origin((*path, "proxy")).startswith("file "):
            setting = format_path((*path, "proxy"))
            yield f"{setting}: The file contains the login of a proxy. Use a reference to the whole URL: `env:NAME`."
