"""A worker without an engine: implements the protocol of `worker.py` and misbehaves as its argument says."""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

BEHAVIOR = sys.argv[1]
HUNG = threading.Event()


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if HUNG.is_set():
            time.sleep(3600)
        self.answer(200, {"status": "ok", "environment": dict(os.environ)})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/slow":
            home = Path(self.server.server_address).parent
            while not (home / "respond").exists():
                time.sleep(0.01)
        if self.path == "/hang":
            HUNG.set()
        if self.path == "/busy":
            HUNG.set()
            threading.Thread(target=spin, daemon=True).start()
        document: object = {}
        if BEHAVIOR == "not-a-number":
            document = {"choices": [{"text": ".", "logprobs": {"content": [{"token": ".", "logprob": None}]}}]}
        is_broken = BEHAVIOR == "no-first-token" and self.path == "/v1/completions"
        self.answer(500 if is_broken else 200, {"error": "no token"} if is_broken else document)


def spin() -> None:
    while HUNG.is_set():
        pass


def end_early(home: Path) -> None:
    """End the process, if it is one that does not become ready."""
    if BEHAVIOR == "crash":
        print("weights on fire", file=sys.stderr)
        sys.exit(3)
    if BEHAVIOR == "crash-until-told" and not (home / "go").exists():
        sys.exit(3)
    if BEHAVIOR == "crash-once" and not (home / "crashed").exists():
        (home / "crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if BEHAVIOR in {"engine", "model"}:
        print("FAILED", json.dumps({"kind": BEHAVIOR, "message": "stub failure"}), flush=True)
        sys.exit(1)
    if BEHAVIOR == "last-words":  # which arrive after the message
        print("FAILED", json.dumps({"kind": "model", "message": "stub failure"}), flush=True)
        time.sleep(0.1)
        print("the tensor is bent", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    config = json.loads(sys.stdin.readline())
    home = Path(config["socket_path"]).parent
    end_early(home)
    if BEHAVIOR == "garbage":
        print("HELLO", flush=True)
    if BEHAVIOR == "silent":
        sys.stdin.read()
    if BEHAVIOR == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if BEHAVIOR == "noisy":
        sys.stderr.write("x" * 300_000 + "\n")
        for number in range(20_000):
            sys.stderr.write(f"line {number}\n")
    if BEHAVIOR == "gated":
        while not (home / "go").exists():
            time.sleep(0.01)
    server = Server(config["socket_path"], Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (home / "config.json").write_text(json.dumps(config))
    print("READY {}", flush=True)
    if BEHAVIOR == "deaf":
        time.sleep(3600)
    sys.stdin.read()


if __name__ == "__main__":
    main()
