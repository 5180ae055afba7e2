"""Checks the certificates and keys for upstreams when the configuration is loaded, before a request needs them."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from intellirouter.config import ConfigProblem, Runtime, format_path
from intellirouter.core import SYSTEM_TRUST, ClientCertificate, TrustFiles
from intellirouter.providers import VENDORS, TlsFileProblem, build_context


def upstream_tls_problems(runtime: Runtime, origins: Mapping[str, str]) -> list[ConfigProblem]:
    """Return the problems of all providers, each once. Reads the files. `origins` are those of `LoadedConfig`."""
    checks: dict[tuple[TrustFiles, str | None, ClientCertificate | None], str] = {}
    for name, provider in runtime.providers.items():
        url = provider.base_url or VENDORS[provider.vendor].base_url or ""
        trust = runtime.trust if urlsplit(url).scheme == "https" else SYSTEM_TRUST
        checks.setdefault((trust, provider.ca_file, provider.client_certificate), name)
    checks.pop((SYSTEM_TRUST, None, None), None)  # nothing to read
    problems: dict[tuple[str, str], ConfigProblem] = {}
    for files, name in checks.items():
        try:
            build_context(*files)
        except TlsFileProblem as problem:
            path, origin = "", f"env {problem.setting}"
            if problem.setting.islower():
                path = format_path(("providers", name, problem.setting))
                origin = origins.get(path, "")
            found = ConfigProblem(path, problem.message, problem.hint, origin)
            problems.setdefault((path, problem.message), found)
    return list(problems.values())
