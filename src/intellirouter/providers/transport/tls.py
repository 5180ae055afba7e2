"""TLS contexts for upstreams and proxies: who is trusted, and with which certificate the gateway identifies itself.

Files are read when a context is built, and again after a reload. They may be PEM or DER, whatever their names are.
"""

import contextlib
import re
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from intellirouter.core import (
    CertificateFileError,
    ClientCertificate,
    TrustFiles,
    authorities_in,
    certificate_as_pem,
    errors,
    is_encrypted_key,
    private_key_as_pem,
    read_bounded,
)

_MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_HASHED_NAME: Final = re.compile(r"[0-9a-f]{8}\.\d+\Z")
"""The names in a directory that OpenSSL searches by itself."""
_SETTINGS: Final = {"ca_file": "CA file", "client_cert_file": "client certificate", "client_key_file": "private key"}


class TlsFileProblem(Exception):
    """A certificate or a key that cannot be used. `setting` is one of the provider, or an environment variable."""

    def __init__(self, setting: str, message: str, hint: str = "") -> None:
        """`message` and `hint` are whole sentences."""
        super().__init__(message)
        self.setting = setting
        self.message = message
        self.hint = hint


class TlsContexts:
    """The contexts in use, by what they are built from."""

    def __init__(self, trust: TrustFiles) -> None:
        self._trust = trust
        self._contexts: dict[tuple[str | None, ClientCertificate | None], ssl.SSLContext] = {}

    def get(self, ca_file: str | None, certificate: ClientCertificate | None = None) -> ssl.SSLContext:
        """Return the context for these files. Raises `UpstreamConnectFailed` if one of them cannot be used."""
        context = self._contexts.get((ca_file, certificate))
        if context is None:
            try:
                context = build_context(self._trust, ca_file, certificate)
            except TlsFileProblem as problem:
                raise errors.UpstreamConnectFailed(problem.message, hint=problem.hint) from None
            self._contexts[ca_file, certificate] = context
        return context

    def forget(self) -> None:
        """Read all files again for the next connections."""
        self._contexts.clear()


def build_context(
    trust: TrustFiles, ca_file: str | None = None, certificate: ClientCertificate | None = None
) -> ssl.SSLContext:
    """Return a context that trusts the system, `trust` and `ca_file`. Raises `TlsFileProblem`."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    for variable, path in trust.paths:
        if Path(path).is_dir():
            _trust_directory(context, variable, Path(path))
        else:
            _trust_file(context, variable, path)
    if ca_file is not None:
        _trust_file(context, "ca_file", ca_file)
    if certificate is not None:
        _present(context, certificate)
    return context


def _trust_file(context: ssl.SSLContext, setting: str, path: str) -> None:
    content = _read(setting, path)
    try:
        context.load_verify_locations(cadata=authorities_in(content))
    except CertificateFileError as error:
        raise _cannot_load(setting, path, f"it {error.message.removesuffix('.')}", error.hint) from None
    except (ssl.SSLError, ValueError) as error:
        raise _cannot_load(setting, path, _reason(error), "Set it to a PEM or DER file.") from None


def _trust_directory(context: ssl.SSLContext, variable: str, directory: Path) -> None:
    """Let OpenSSL search a directory with hashed names. Otherwise trust the certificates of all files in it."""
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        raise _cannot_load(variable, str(directory), _reason(error)) from None
    if any(_HASHED_NAME.match(file.name) for file in files):
        context.load_verify_locations(capath=str(directory))
        return
    for file in files:
        if file.is_file():
            with contextlib.suppress(CertificateFileError, ssl.SSLError):  # a key, a list of revocations, a text
                context.load_verify_locations(cadata=authorities_in(_read(variable, str(file))))


def _present(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """Load the client certificate and its key."""
    cert_file, key_file = certificate.cert_file, certificate.key_file
    cert = _read("client_cert_file", cert_file)
    key = cert if key_file is None else _read("client_key_file", key_file)
    key_setting = "client_cert_file" if key_file is None else "client_key_file"
    password = certificate.key_password
    try:
        pem = certificate_as_pem(cert)
    except CertificateFileError as error:
        raise _cannot_load("client_cert_file", cert_file, f"it {error.message.removesuffix('.')}", error.hint) from None
    try:
        key_pem = private_key_as_pem(key)
    except CertificateFileError as error:
        hint = "Set `client_key_file` to the file with the private key." if key_file is None else error.hint
        where = key_file or cert_file
        raise TlsFileProblem("client_key_file", f"The file {where} {error.message}", hint) from None
    if password is None and is_encrypted_key(key):
        raise TlsFileProblem(
            key_setting,
            f"The private key in {key_file or cert_file} is encrypted.",
            "Set `client_key_password`, or decrypt the key, for example with `openssl pkey`.",
        )
    with _as_file(cert_file, pem) as cert_path, _as_file(key_file or cert_file, key_pem) as key_path:
        try:
            context.load_cert_chain(cert_path, key_path, password="" if password is None else password.reveal())
        except (ssl.SSLError, ValueError) as error:
            raise _unusable(certificate, error, is_encrypted=is_encrypted_key(key)) from None


@contextlib.contextmanager
def _as_file(path: str, pem: bytes | None) -> Iterator[str]:
    """Yield the path of a PEM file: the file itself, or a private temporary one, because OpenSSL reads only PEM."""
    if pem is None:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="intellirouter-") as file:  # only its owner may read it
        file.write(pem)
        file.flush()
        yield file.name


def _unusable(certificate: ClientCertificate, error: Exception, *, is_encrypted: bool) -> TlsFileProblem:
    cert_file, key_file = certificate.cert_file, certificate.key_file or certificate.cert_file
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return TlsFileProblem(
            "client_key_file",
            f"The private key in {key_file} does not belong to the certificate in {cert_file}.",
            "Set both settings to files that belong together.",
        )
    if is_encrypted:
        message = f"The private key in {key_file} cannot be decrypted with the password."
        return TlsFileProblem("client_key_password", message, "Check the password.")
    return TlsFileProblem(
        "client_cert_file",
        f"The certificate in {cert_file} with the private key in {key_file} cannot be used: {_reason(error)}.",
        "Set both settings to PEM or DER files.",
    )


def _read(setting: str, path: str) -> bytes:
    try:
        content = read_bounded(Path(path), _MAX_FILE_BYTES)
    except OSError as error:
        raise _cannot_load(setting, path, _reason(error)) from None
    if len(content) > _MAX_FILE_BYTES:
        raise _cannot_load(setting, path, "it is larger than 16 MiB")
    return content


def _cannot_load(
    setting: str, path: str, reason: str, hint: str = "Check its path and its permissions."
) -> TlsFileProblem:
    return TlsFileProblem(setting, f"The {_SETTINGS.get(setting, 'CA file')} {path} cannot be loaded: {reason}.", hint)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
