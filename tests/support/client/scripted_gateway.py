"""An HTTP server on loopback that sends prepared replies and records the requests."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 10.0


@dataclass
class Reply:
    """`chunks` makes it a stream; after them, `then` selects `end`, `cut` the connection, or `wait` for its end."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: list[bytes] | None = None
    then: str = "end"


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedGateway:
    """Sends the replies of a path in order, and repeats the last one.

    `client_left` is set when a client disconnects from a waiting stream.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.client_left = threading.Event()
        self._replies: dict[str, list[Reply]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._server.block_on_close = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, path: str, *replies: Reply) -> None:
        self._replies[path] = list(replies)

    def on_json(self, path: str, document: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.on(path, Reply(status, json.dumps(document).encode(), named))

    @contextmanager
    def running(self) -> Iterator["ScriptedGateway"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def next_reply(self, path: str) -> Reply:
        replies = self._replies.get(path)
        if not replies:
            error = {"message": "There is no reply for this path.", "type": "invalid_request_error"}
            return Reply(404, json.dumps({"error": {**error, "code": "unknown_url"}}).encode())
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = WAIT_S

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                gateway.requests.append(Request(self.command, self.path, headers, self.rfile.read(length)))
                reply = gateway.next_reply(self.path.partition("?")[0])
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("connection", "close")
                self.close_connection = True
                if reply.chunks is None:
                    self.send_header("content-length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                else:
                    self._stream(reply)

            def _stream(self, reply: Reply) -> None:
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for chunk in reply.chunks or []:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    self.wfile.flush()
                if reply.then == "end":
                    self.wfile.write(b"0\r\n\r\n")
                elif reply.then == "wait" and self._client_disconnects():
                    gateway.client_left.set()

            def _client_disconnects(self) -> bool:
                try:
                    return self.connection.recv(1) == b""
                except TimeoutError:
                    return False
                except ConnectionError:
                    return True

            do_GET = _serve  # noqa: N815 - the name that http.server requires
            do_POST = _serve  # noqa: N815 - the name that http.server requires

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def sse(*documents: Any) -> bytes:
    """Encode documents as server-sent events; a string is sent unchanged."""
    lines = (each if isinstance(each, str) else json.dumps(each) for each in documents)
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def completion(text: str | None = "Hello.", **message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "mini",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def piece(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    content = {} if text is None else {"content": text}
    return {"id": "c", "choices": [{"index": 0, "delta": {**content, **delta}, "finish_reason": finish}]}
