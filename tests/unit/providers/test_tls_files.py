"""Certificates and keys for upstreams: PEM and DER, client certificates, and files that cannot be used."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from intellirouter.core import (
    SYSTEM_TRUST,
    ClientCertificate,
    ProxyRules,
    Secret,
    SocketRefusal,
    TrustFiles,
    UpstreamRequest,
    errors,
    proxy_at,
)
from intellirouter.providers import TlsFileProblem, UpstreamPool, WebSocketDialer, build_context
from tests.support.providers.loopback import (
    Authority,
    answer,
    call,
    deployment,
    eventually,
    open_counts,
    serving,
    stream,
)
from tests.support.providers.proxy import proxying

BAD = "not a certificate\n"


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def as_der(path: Path, kind: str, *more: str) -> Path:
    """Return a copy in DER. `kind` is a command of openssl: x509, rsa, ec, pkcs8."""
    target = path.with_suffix(f"{path.suffix}.{kind}.der")
    openssl(kind, "-in", path, "-outform", "DER", "-out", target, *more)
    return target


def certificate(cert: Path, key: Path | None = None, password: str | None = None) -> ClientCertificate:
    secret = None if password is None else Secret(password)
    return ClientCertificate(cert_file=str(cert), key_file=None if key is None else str(key), key_password=secret)


def count(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


# Certificate authorities


def test_bundle_is_read_by_its_content(authority: Authority, tmp_path: Path) -> None:
    pem, other = Path(authority.ca_file), tmp_path / "other"
    other.mkdir()
    second = Path(Authority(other).ca_file)
    before = count(build_context(SYSTEM_TRUST))
    for name, content, certificates in (
        ("one.der", pem.read_bytes(), 1),
        ("one.pem", as_der(pem, "x509").read_bytes(), 1),
        ("two.crt", b"\xef\xbb\xbf# b\xc3\xbccher\r\n" + pem.read_bytes() + b"text\n" + second.read_bytes(), 2),
        ("two", as_der(pem, "x509").read_bytes() + as_der(second, "x509").read_bytes(), 2),
        ("with-key.pem", pem.with_suffix(".key").read_bytes() + pem.read_bytes(), 1),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        assert count(build_context(SYSTEM_TRUST, str(file))) == before + certificates, name
        assert count(build_context(TrustFiles((("SSL_CERT_FILE", str(file)),)))) == before + certificates, name


def test_directory_of_authorities(authority: Authority, tmp_path: Path) -> None:
    before = count(build_context(SYSTEM_TRUST))
    (tmp_path / "README").write_text("nothing here")
    (tmp_path / "sub").mkdir()
    (tmp_path / "corp.crt").write_bytes(as_der(Path(authority.ca_file), "x509").read_bytes())
    assert count(build_context(TrustFiles((("SSL_CERT_DIR", str(tmp_path)),)))) == before + 1


async def test_directory_with_hashed_names_is_searched_by_openssl(
    pool: UpstreamPool, authority: Authority, good_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    (tmp_path / "corp.pem").write_bytes(Path(authority.ca_file).read_bytes())
    openssl("rehash", tmp_path)
    trusting = UpstreamPool(trust=TrustFiles((("SSL_CERT_DIR", str(tmp_path)),)))
    async with serving(lambda peer: peer.serve(), tls=good_tls) as server:
        assert await call(trusting, server.deployment()) == b"{}"
        with pytest.raises(errors.UpstreamConnectFailed):
            await call(pool, server.deployment())
    await trusting.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "it contains no certificate"),
        (BAD.encode(), "it contains no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be loaded: "),
        (b"0\x82\x01\x00garbage", "cannot be loaded: "),
        (b"0\x82\x01\x00\x02\x01\x03rest", "is a PKCS#12 file"),
    ],
)
@pytest.mark.parametrize("setting", ["ca_file", "SSL_CERT_FILE"])
def test_unusable_bundle(tmp_path: Path, content: bytes | None, message: str, setting: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    is_own = setting == "ca_file"
    trust = SYSTEM_TRUST if is_own else TrustFiles(((setting, str(file)),))
    with pytest.raises(TlsFileProblem, match=message) as caught:
        build_context(trust, str(file) if is_own else None)
    assert caught.value.setting == setting
    assert str(file) in caught.value.message
    assert caught.value.hint


# Client certificates


async def connects(authority: Authority, mine: ClientCertificate | None, tls: ssl.SSLContext) -> bytes:
    pool = UpstreamPool()
    try:
        async with serving(lambda peer: peer.serve(), tls=tls) as server:
            return await call(pool, server.deployment(ca_file=authority.ca_file, client_certificate=mine))
    finally:
        await pool.close()


@pytest.fixture
def mtls(authority: Authority) -> ssl.SSLContext:
    return authority.requiring(authority.server_context("DNS:localhost"))


async def test_client_certificate_in_every_form(authority: Authority, mtls: ssl.SSLContext, tmp_path: Path) -> None:
    cert, key = authority.client_certificate()
    _, locked = authority.client_certificate("locked", cipher="aes-256-cbc")
    locked_cert = Path(str(locked).replace(".key.enc", ".crt"))
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    forms = [
        certificate(cert, key),
        certificate(both),
        certificate(both, both),
        certificate(as_der(cert, "x509"), key),
        certificate(cert, as_der(key, "ec")),
        certificate(as_der(cert, "x509"), as_der(key, "pkcs8", "-topk8", "-nocrypt")),
        certificate(cert, key, "not needed"),
        certificate(locked_cert, locked, "pw"),
        certificate(locked_cert, as_der(locked, "pkcs8", "-passin", "pass:pw", "-topk8", "-passout", "pass:pw"), "pw"),
    ]
    for form in forms:
        assert await connects(authority, form, mtls) == b"{}", form


async def test_rsa_key_in_der(authority: Authority, mtls: ssl.SSLContext, tmp_path: Path) -> None:
    key, request, cert = tmp_path / "rsa.key", tmp_path / "rsa.csr", tmp_path / "rsa.crt"
    openssl("genrsa", "-traditional", "-out", key, "2048")
    openssl("req", "-new", "-key", key, "-subj", "/CN=rsa", "-out", request)
    ca = Path(authority.ca_file)
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"), "-days", "2", "-out", cert)
    der = as_der(key, "rsa", "-traditional")
    assert await connects(authority, certificate(cert, der), mtls) == b"{}"


@contextlib.contextmanager
def alerting(tls: ssl.SSLContext) -> Iterator[str]:
    """Serve from a thread. It sends alerts, as servers do, except those on asyncio."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse(link: socket.socket) -> None:
            bio = ssl.MemoryBIO(), ssl.MemoryBIO()
            secured = tls.wrap_bio(*bio, server_side=True)
            while data := link.recv(65536):  # also after the alert, which a reset would discard
                bio[0].write(data)
                with contextlib.suppress(ssl.SSLError):
                    secured.do_handshake()
                link.sendall(bio[1].read())

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    with link:
                        refuse(link)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("is_foreign", [False, True], ids=["none", "foreign"])
async def test_refused_client_certificate_is_a_clear_error(
    authority: Authority, mtls: ssl.SSLContext, tmp_path: Path, version: ssl.TLSVersion, is_foreign: bool
) -> None:
    mtls.maximum_version = version
    mine = certificate(*Authority(tmp_path, "Another CA").client_certificate()) if is_foreign else None
    pool = UpstreamPool()
    with alerting(mtls) as url:
        to = deployment(url, ca_file=authority.ca_file, client_certificate=mine)
        for ask in (call, stream):
            with pytest.raises(errors.UpstreamConnectFailed, match=r"TLS .*alert") as caught:
                await ask(pool, to)
            assert "client_cert_file" in caught.value.hint
        await eventually(lambda: open_counts(pool) == [0])
        await pool.close()


async def test_connection_that_is_closed_during_the_handshake(
    pool: UpstreamPool, authority: Authority, mtls: ssl.SSLContext
) -> None:
    mtls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(lambda peer: peer.serve(), tls=mtls) as server:
        with pytest.raises(errors.UpstreamConnectFailed, match="was closed during the TLS handshake") as caught:
            await call(pool, server.deployment(ca_file=authority.ca_file))
        assert "client_cert_file" in caught.value.hint


async def test_client_certificate_in_a_tunnel_is_for_the_upstream_only(
    pool: UpstreamPool, authority: Authority, mtls: ssl.SSLContext
) -> None:
    mine = certificate(*authority.client_certificate())
    proxy_tls = authority.server_context("DNS:localhost,IP:127.0.0.1")
    seen: list[object] = []

    async def script(peer: object) -> None:
        seen.append(peer.writer.get_extra_info("peercert"))  # type: ignore[attr-defined]
        await peer.serve(answer(b"ok"))  # type: ignore[attr-defined]

    async with serving(script, tls=mtls) as server, proxying(tls=proxy_tls) as proxy:
        at = proxy_at(proxy.url)
        rules = ProxyRules(http=at, https=at, has_loopback=True)
        to = server.deployment(ca_file=authority.ca_file, client_certificate=mine, proxies=rules)
        assert await call(pool, to) == b"ok"
    assert seen[0]


async def test_websocket_presents_the_client_certificate(
    pool: UpstreamPool, authority: Authority, mtls: ssl.SSLContext
) -> None:
    async def greet(link: ServerConnection) -> None:
        await link.send("hello")

    mine = certificate(*authority.client_certificate())
    async with serve(greet, "127.0.0.1", 0, ssl=mtls) as server:
        url = f"https://localhost:{next(iter(server.sockets)).getsockname()[1]}/v1"
        request = UpstreamRequest(method="GET", path="/realtime")
        to = deployment(url, ca_file=authority.ca_file, client_certificate=mine)
        socket = await WebSocketDialer(pool).connect(to, request)
        assert not isinstance(socket, SocketRefusal)
        assert await socket.receive() == "hello"
        await socket.close(1000)
        with pytest.raises(errors.UpstreamError):
            await WebSocketDialer(pool).connect(deployment(url, ca_file=authority.ca_file), request)


async def test_reload_reads_the_client_certificate_again(
    pool: UpstreamPool, authority: Authority, mtls: ssl.SSLContext, tmp_path: Path
) -> None:
    cert, key = tmp_path / "mine.crt", tmp_path / "mine.key"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for source, target in zip(Authority(foreign, "Another CA").client_certificate(), (cert, key), strict=True):
        target.write_bytes(source.read_bytes())
    async with serving(lambda peer: peer.serve(), tls=mtls) as server:
        to = server.deployment(ca_file=authority.ca_file, client_certificate=certificate(cert, key))
        with pytest.raises(errors.UpstreamError):
            await call(pool, to)
        for source, target in zip(authority.client_certificate("renewed"), (cert, key), strict=True):
            target.write_bytes(source.read_bytes())
        pool.apply([to])
        assert await call(pool, to) == b"{}"


def test_client_certificate_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.client_certificate()
    other_cert, other_key = authority.client_certificate("other")
    _, locked = authority.client_certificate("locked2", cipher="aes-256-cbc")
    locked_cert = Path(str(locked).replace(".key.enc", ".crt"))
    bad, none = tmp_path / "bad", tmp_path / "none"
    bad.write_text(BAD)
    store = tmp_path / "store.p12"
    openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-passout", "pass:pw", "-out", store)
    for form, setting, message in (
        (certificate(none, key), "client_cert_file", f"client certificate {none} cannot be loaded: No such file"),
        (certificate(cert, none), "client_key_file", f"private key {none} cannot be loaded: No such file"),
        (certificate(bad, key), "client_cert_file", "it contains no certificate"),
        (certificate(key, key), "client_cert_file", "it contains no certificate"),
        (certificate(cert, bad), "client_key_file", "contains no private key"),
        (certificate(cert, cert), "client_key_file", "contains no private key"),
        (certificate(cert), "client_key_file", "contains no private key"),
        (certificate(cert, other_key), "client_key_file", "does not belong to the certificate"),
        (certificate(as_der(other_cert, "x509"), as_der(key, "ec")), "client_key_file", "does not belong"),
        (certificate(locked_cert, locked), "client_key_file", "is encrypted"),
        (certificate(locked_cert, locked, "wrong-pw"), "client_key_password", "cannot be decrypted"),
        (certificate(store), "client_cert_file", "is a PKCS#12 file"),
        (certificate(cert, store), "client_key_file", "is a PKCS#12 file"),
        (certificate(tmp_path), "client_cert_file", "Is a directory"),
    ):
        with pytest.raises(TlsFileProblem, match=message) as caught:
            build_context(SYSTEM_TRUST, None, form)
        assert caught.value.setting == setting, form
        assert "pw" not in caught.value.message
        assert caught.value.hint


async def test_unusable_client_certificate_fails_the_request(pool: UpstreamPool, tmp_path: Path) -> None:
    to = deployment("https://localhost:1/v1", client_certificate=certificate(tmp_path / "none.crt"))
    with pytest.raises(errors.UpstreamConnectFailed, match=r"client certificate .*none.crt cannot be loaded"):
        await call(pool, to)
    await eventually(lambda: open_counts(pool) == [0])
