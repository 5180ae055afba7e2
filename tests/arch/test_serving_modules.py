"""A gateway that serves requests does not load the test kit, not even when it serves fake models."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, json, pathlib, sys
from intellirouter.roles import check
from intellirouter.roles.compose import GatewayProcess

async def request(gateway, path, body):
    sent = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "state": {},
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
    }
    await gateway(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return b"".join(message.get("body", b"") for message in sent[1:])

async def main():
    gateway = GatewayProcess(check(pathlib.Path(sys.argv[1])))
    await gateway.start()
    body = json.dumps({"model": "fake/echo", "messages": [{"role": "user", "content": "hello"}]}).encode()
    answer = json.loads(await request(gateway, "/v1/chat/completions", body))
    assert answer["choices"][0]["message"]["content"] == "echo: hello", answer
    body = json.dumps({"model": "fake/embed", "input": "hello"}).encode()
    assert json.loads(await request(gateway, "/v1/embeddings", body))["data"]
    await gateway.stop()

asyncio.run(main())
print(*(name for name in sys.modules if name.startswith("intellirouter.")))
"""


def test_serving_fake_models_does_not_load_the_test_kit(repo: Path, tmp_path: Path) -> None:
    example = (repo / "examples" / "minimal.yaml").read_text(encoding="utf-8")
    config = tmp_path / "config.yaml"
    config.write_text(
        example.replace("providers:\n", "providers:\n  fake: {vendor: fake}\n")
        + f"\nstore: {{url: 'sqlite:///{tmp_path}/store.db', spool_dir: '{tmp_path}/spool'}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(config)],
        env={**os.environ, "OPENAI_API_KEY": "sk-none"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "intellirouter.fake.provider" in loaded
    assert [name for name in loaded if name.startswith("intellirouter.testing")] == []
