import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from intellirouter.config import compile_config, config_schema, load_config, setting_docs
from tests.unit.config.conftest import STRATEGIES, VENDORS

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
ENVIRON = {
    name: f"value-of-{name}"
    for name in (
        "OPENAI_API_KEY", "LAB_KEY_1", "LAB_KEY_2", "CLAUDE_KEY", "ACME_KEY", "ADMIN_KEY",
        "GROQ_KEY_1", "GROQ_KEY_2", "TEAM_KEY",
    )
}  # fmt: skip


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {"minimal", "providers", "local", "contract"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_loads_compiles_and_satisfies_the_schema(path):
    loaded = load_config(path, environ={})
    runtime = compile_config(
        loaded.config, vendors=VENDORS, strategies=STRATEGIES, environ=ENVIRON, origins=loaded.origins
    )
    assert runtime.models
    jsonschema.Draft202012Validator(config_schema()).validate(yaml.safe_load(path.read_text("utf-8")))


def test_contract_example_compiles_to_what_it_configures():
    loaded = load_config(ROOT / "examples" / "contract.yaml", environ={})
    runtime = compile_config(loaded.config, vendors=VENDORS, strategies=STRATEGIES, environ=ENVIRON)
    assert runtime.models["assistant"].deployments == ("mini", "big")
    assert runtime.models["assistant"].fallbacks == ("smollm",)
    assert runtime.models["assistant"].strategy == "cost"
    assert runtime.models["auto"].deployments == ("mini", "big", "smollm")
    big = runtime.deployments["big"]
    assert (big.context_tokens, big.region, big.weight) == (128_000, "eu", 2)
    assert big.capabilities == {"chat", "tools", "vision", "json_schema"}
    assert big.price is not None
    assert big.price.input == 2_500_000
    assert big.price.cache_read == 1_250_000
    assert (big.timeouts.connect_s, big.timeouts.total_s) == (2, 120)
    assert len(runtime.providers["lab"].credentials) == 2
    assert runtime.deployments["smollm"].artifact == "bundled:smollm2-135m"
    assert [key.tenant for key in runtime.keys] == ["acme", "default"]
    assert runtime.keys[1].grants == {"admin"}
    assert any("adaptive" in warning for warning in runtime.warnings)


def test_schema_rejects_what_the_loader_rejects():
    validator = jsonschema.Draft202012Validator(config_schema())
    assert validator.is_valid({"store": "sqlite:///a.db"})
    assert validator.is_valid({"store": {"url": "sqlite:///a.db"}})
    for wrong in (
        {"sever": {}},
        {"server": {"port": 70000}},
        {"providers": {"p": {"vendor": "openai", "credential": "sk-live"}}},
        {"models": {"m": {"deployments": []}}},
        {"providers": {"p": {}}},
    ):
        assert not validator.is_valid(wrong)


def test_every_setting_is_described():
    docs = setting_docs()
    assert {"server.port", "providers.NAME.credential", "keys[N].limits.concurrency", "store.url"} <= {
        doc.path for doc in docs
    }
    assert all(doc.description for doc in docs)
    assert all(doc.is_section or doc.kind not in {"", "any"} for doc in docs)


def test_types_and_defaults_are_in_words():
    docs = {doc.path: doc for doc in setting_docs()}
    assert (docs["server.port"].kind, docs["server.port"].default) == ("integer from 0 to 65535", "8080")
    assert docs["providers.NAME.vendor"].default == "required"
    assert docs["models.NAME.deployments"].kind == "list of strings"
    assert docs["models.NAME.strategy"].kind == "string"
    assert docs["store.log_max_bytes"].kind == "integer, at least 1048576"
    assert docs["defaults.timeouts.idle_s"].kind == "number, greater than 0, at most 86400"
    assert docs["keys[N].grants"].kind == "list of one of admin, requests:read"
    assert docs["auth.required"].default == ""


def test_generated_pages_are_up_to_date():
    command = [sys.executable, "-m", "scripts.gen_reference", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    json.loads((ROOT / "docs" / "reference" / "config.schema.json").read_text("utf-8"))


def test_importing_the_room_loads_no_server_library():
    code = "import sys, intellirouter.config; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    for heavy in ("fastapi", "sqlalchemy", "httpx", "rich", "typer"):
        assert f"'{heavy}'" not in done.stdout
