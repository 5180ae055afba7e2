"""Paths that the gateway does not serve: the error has the format of the dialect that they belong to."""

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import RawConnection

BEARER = f"Bearer {KEYS['ann']}"


def test_unsupported_paths_have_the_error_format_of_their_dialect(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port) as link:
        for method, path in (
            *(("POST", f"/api/{name}") for name in ("copy", "push", "pull", "create", "vanished", "blobs/sha256:0")),
            ("DELETE", "/api/delete"),
            ("GET", "/api/chat"),
            ("POST", "/v1/api/delete"),
        ):
            link.send(f"{method} {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n".encode())
            answer = link.answer()
            assert answer.status in {404, 405}
            assert isinstance(answer.json()["error"], str), path
        for path in ("/v1/messages/batches", "/v1/messages/batches/x/cancel", "/v1/v1/messages"):
            answer = link.post(b"{}", path, authorization=BEARER)
            assert (answer.status, answer.json()["type"], answer.json()["error"]["type"]) == (
                404,
                "error",
                "not_found_error",
            )
        for path in (
            "/v1beta/models/m:vanish",
            "/v1beta/cachedContents",
            "/upload/v1beta/files",
            "/v1/v1beta/models/m:x",
        ):
            answer = link.post(b"{}", path, authorization=BEARER)
            assert (answer.status, answer.json()["error"]["status"]) == (404, "NOT_FOUND"), path
        for path in ("/api/v1/vanished", "/v1/vanished"):
            assert link.post(b"{}", path, authorization=BEARER).json()["error"]["code"] == "unknown_url"
