"""A gateway that serves requests does not load the test kit, not even when it serves fake models."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, json, pathlib, sys
from intellirouter.roles import check
from intellirouter.roles.compose import GatewayProcess
from intellirouter.serving.head import parse_head

class Request:
    is_received = True

    def __init__(self, path, body):
        head = f"POST {path} HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json"
        self.head, self.body, self.response = parse_head(head.encode()), body, None

    def take_body(self, limit_bytes):
        return self.body

    def watch(self, on_disconnect):
        pass

    def respond(self, status, header_lines, body):
        assert status == 200, body
        self.response = body
        return True

    write = end = None

async def request(gateway, path, document):
    sent = Request(path, json.dumps(document).encode())
    await gateway.serve(sent)
    return json.loads(sent.response)

async def main():
    gateway = GatewayProcess(check(pathlib.Path(sys.argv[1])))
    await gateway.start()
    chat = {"model": "fake/echo", "messages": [{"role": "user", "content": "hello"}]}
    answer = await request(gateway, "/v1/chat/completions", chat)
    assert answer["choices"][0]["message"]["content"] == "echo: hello", answer
    assert (await request(gateway, "/v1/embeddings", {"model": "fake/embed", "input": "hello"}))["data"]
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
