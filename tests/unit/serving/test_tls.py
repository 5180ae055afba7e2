"""Certificates that cannot be used are reported with the file, the reason and the setting, and never ask for input."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from intellirouter.config.runtime import ServerSpec
from intellirouter.serving import TlsProblem, tls_context
from intellirouter.serving.tls import load_certificate
from tests.support.http_corpus_listeners import Certificate, create_certificate

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.fixture
def good(tmp_path: Path) -> Certificate:
    return create_certificate(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Certificate:
    directory = tmp_path / "other"
    directory.mkdir()
    return create_certificate(directory)


def problem(cert_file: Path, key_file: Path | None) -> TlsProblem:
    limits = ServerSpec(tls_cert_file=str(cert_file), tls_key_file=None if key_file is None else str(key_file))
    with pytest.raises(TlsProblem) as caught:
        tls_context(limits)
    return caught.value


def test_a_certificate_and_its_key(good: Certificate) -> None:
    assert tls_context(ServerSpec()) is None
    assert tls_context(ServerSpec(**good.settings())) is not None


def test_a_key_in_the_file_of_the_certificate(good: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(good.cert_file.read_bytes() + good.key_file.read_bytes())
    assert tls_context(ServerSpec(tls_cert_file=str(both))) is not None


def test_files_that_cannot_be_read(good: Certificate, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    found = problem(good.cert_file, missing)
    assert found.setting == "server.tls_key_file"
    assert found.message == f"Cannot read the private key {missing}: no such file or directory."
    found = problem(missing, good.key_file)
    assert found.setting == "server.tls_cert_file"
    assert found.message == f"Cannot read the certificate {missing}: no such file or directory."
    assert "is a directory" in problem(good.cert_file, tmp_path).message


def test_an_encrypted_key_is_refused_without_a_prompt(good: Certificate, tmp_path: Path) -> None:
    key = tmp_path / "encrypted.pem"
    encryption = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, encryption))
    found = problem(good.cert_file, key)
    assert found.message == f"The private key in {key} is encrypted."
    assert found.setting == "server.tls_key_file"


def test_a_key_that_belongs_to_another_certificate(good: Certificate, other: Certificate) -> None:
    found = problem(good.cert_file, other.key_file)
    assert found.message.startswith(f"The private key in {other.key_file} does not belong to the certificate")


def test_files_with_other_content(good: Certificate, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert problem(good.cert_file, text).message == f"The file {text} contains no private key."
    assert problem(good.cert_file, None).message == f"The file {good.cert_file} contains no private key."
    assert problem(text, good.key_file).message == f"The file {text} is not a valid certificate."


def test_a_failed_renewal_leaves_the_certificate_in_use(good: Certificate, other: Certificate) -> None:
    context = tls_context(ServerSpec(**good.settings()))
    assert context is not None
    mixed = ServerSpec(tls_cert_file=str(other.cert_file), tls_key_file=str(good.key_file))
    with pytest.raises(TlsProblem):
        load_certificate(context, mixed)
    load_certificate(context, ServerSpec(**other.settings()))
