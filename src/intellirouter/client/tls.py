"""The certificate authorities that a client trusts: those of the system, of the environment, and its own file."""

import ssl
from pathlib import Path

import httpx

from intellirouter.client.settings import Settings
from intellirouter.core import CertificateFileError, authorities_in


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the context for the gateway, or for a proxy. Raises `ValueError` if a file cannot be used."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    for variable, path in settings.trust.paths:
        if Path(path).is_dir():
            context.load_verify_locations(capath=path)
        else:
            _trust(context, path, f" (from {variable})")
    if settings.ca_file is not None:
        _trust(context, settings.ca_file, "")
    return context


def _trust(context: ssl.SSLContext, path: str, origin: str) -> None:
    try:
        context.load_verify_locations(cadata=authorities_in(Path(path).expanduser().read_bytes()))
    except CertificateFileError as error:
        raise ValueError(f"The CA file {path}{origin} {error.message}") from None
    except ssl.SSLError:
        raise ValueError(f"The CA file {path}{origin} contains an invalid certificate.") from None
    except OSError as error:
        raise ValueError(f"The CA file {path}{origin} cannot be read: {error.strerror or error}.") from None
