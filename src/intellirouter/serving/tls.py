"""The certificate of the server, with errors that name the file and the setting."""

import ssl
from pathlib import Path
from typing import Final

from intellirouter.config.runtime import ServerSpec

_CERTIFICATE: Final = "server.tls_cert_file"
_KEY: Final = "server.tls_key_file"


class TlsProblem(Exception):
    """A certificate or a private key that cannot be used."""

    def __init__(self, setting: str, message: str, hint: str) -> None:
        """`message` and `hint` are whole sentences."""
        super().__init__(message)
        self.setting = setting
        self.message = message
        self.hint = hint


class _EncryptedKey(Exception):
    """The private key has a passphrase."""


def tls_context(limits: ServerSpec) -> ssl.SSLContext | None:
    """Return the context of the configured certificate; None without one. Raises `TlsProblem`."""
    if limits.tls_cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, limits)
    return context


def load_certificate(context: ssl.SSLContext, limits: ServerSpec) -> None:
    """Load the configured certificate into a context. Raises `TlsProblem`, and leaves the context unchanged then."""
    certificate, key = limits.tls_cert_file, limits.tls_key_file
    if certificate is None:
        return
    _check_readable(_CERTIFICATE, "certificate", certificate)
    if key is not None:
        _check_readable(_KEY, "private key", key)
    try:
        # A trial, because a failure can leave the certificate in the context without its key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_refuse)
        context.load_cert_chain(certificate, key, password=_refuse)
    except _EncryptedKey:
        raise TlsProblem(
            _KEY if key else _CERTIFICATE,
            f"The private key in {key or certificate} is encrypted.",
            "Decrypt it, for example with `openssl pkey`, and restrict the permissions of the file.",
        ) from None
    except OSError as error:
        raise _unusable(certificate, key, error) from error


def _refuse() -> bytes:
    raise _EncryptedKey


def _check_readable(setting: str, what: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TlsProblem(setting, f"Cannot read the {what} {path}: {reason}.", "Check the path.") from error


def _unusable(certificate: str, key: str | None, error: OSError) -> TlsProblem:
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return TlsProblem(
            _KEY,
            f"The private key in {key or certificate} does not belong to the certificate in {certificate}.",
            "Set both settings to files that belong together.",
        )
    if "PRIVATE KEY-----" not in Path(key or certificate).read_text("latin-1"):
        return TlsProblem(_KEY, f"The file {key or certificate} contains no private key.", "Set it to a PEM file.")
    return TlsProblem(_CERTIFICATE, f"The file {certificate} is not a valid certificate.", "Set it to a PEM file.")
