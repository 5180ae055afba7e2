import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.config import (
    ConfigError,
    ProbeResult,
    ProbeTarget,
    compile_config,
    discover,
    load_config,
    probe_targets,
    render_config,
)
from tests.unit.config.conftest import STRATEGIES, VENDORS

OLLAMA = ProbeResult("ollama", "http://127.0.0.1:11434/v1", ("llama3.2:1b", "nomic-embed-text"))
ARTIFACT = "bundled:smollm2-135m"
BUNDLED = (ARTIFACT, "bundled model tiny (88 MiB, downloaded once)")


def compiled(discovery, environ):
    loaded = load_config(environ={}, discovered=discovery.config)
    return compile_config(
        loaded.config, vendors=VENDORS, strategies=STRATEGIES, environ=environ, origins=loaded.origins
    )


def test_nothing_found_is_an_empty_configuration():
    found = discover({}, [], VENDORS)
    assert found.findings == ()
    assert compiled(found, {}).models == {}


def test_local_artifact_is_auto():
    runtime = compiled(discover({}, [], VENDORS, local_artifact=BUNDLED), {})
    assert runtime.models["auto"].deployments == ("local/smollm2-135m",)
    assert runtime.deployments["local/smollm2-135m"].artifact == ARTIFACT


def test_credentials_become_wildcard_providers_with_their_usual_models():
    environ = {"OPENAI_API_KEY": "sk-live-1", "GOOGLE_API_KEY": "g", "GROQ_API_KEY": " "}
    found = discover(environ, [], VENDORS)
    runtime = compiled(found, environ)
    assert list(runtime.providers) == ["openai", "gemini"]
    assert runtime.providers["openai"].allows_any_model
    assert list(runtime.deployments) == ["small-1", "large-1", "flash-1", "gemini/small-1"]
    assert runtime.models["auto"].deployments == tuple(runtime.deployments)
    assert runtime.models["auto"].strategy == "priority"
    assert found.findings[0] == "OpenAI credential in OPENAI_API_KEY: models small-1, large-1, openai/*"
    assert found.findings[1].startswith("Gemini credential in GOOGLE_API_KEY: models flash-1")
    assert "sk-live" not in repr(found)


def test_auto_asks_cloud_vendors_first_and_the_bundled_model_last_and_leaves_embedders_out():
    environ = {"OPENAI_API_KEY": "x"}
    found = discover(environ, [OLLAMA], VENDORS, local_artifact=BUNDLED)
    runtime = compiled(found, environ)
    assert runtime.models["auto"].deployments == ("small-1", "large-1", "llama3.2:1b", "local/smollm2-135m")
    assert "nomic-embed-text" in runtime.deployments
    assert len(found.findings) == 3


def test_server_on_another_port_keeps_its_address():
    probe = ProbeResult("ollama", "http://127.0.0.1:5555/v1/", ("m",))
    assert compiled(discover({}, [probe], VENDORS), {}).providers["ollama"].base_url == "http://127.0.0.1:5555/v1"


def test_two_servers_of_one_vendor_are_two_providers():
    runtime = compiled(discover({}, [OLLAMA, OLLAMA], VENDORS), {})
    assert list(runtime.providers) == ["ollama", "ollama-2"]
    assert "ollama-2/llama3.2:1b" in runtime.deployments


def test_invalid_and_reserved_names_are_replaced():
    probe = ProbeResult("llamacpp", "http://127.0.0.1:8080/v1", ("/models/my model.gguf", "auto", "*", "ok"))
    names = list(compiled(discover({}, [probe], VENDORS), {}).deployments)
    assert names == ["llamacpp/models/my-model.gguf", "llamacpp/auto", "llamacpp", "ok"]


def test_probe_targets_skip_our_own_port_and_follow_the_variable():
    targets = probe_targets(VENDORS, own_port=8080, environ={})
    assert targets == (ProbeTarget("ollama", "http://127.0.0.1:11434/v1"),)
    targets = probe_targets(VENDORS, own_port=1, environ={"RESOURCE_PORTS_OLLAMA": "5555"})
    assert targets[0] == ProbeTarget("ollama", "http://127.0.0.1:5555/v1")
    assert targets[1].vendor == "llamacpp"


def test_service_link_is_not_a_probe_port():
    environ = {"RESOURCE_PORTS_OLLAMA": "tcp://10.0.0.1:11434"}
    assert probe_targets(VENDORS, own_port=8080, environ=environ) == (
        ProbeTarget("ollama", "http://127.0.0.1:11434/v1"),
    )


@pytest.mark.parametrize("text", ["many", "0", "70000", "-1"])
def test_invalid_probe_port_is_an_error(text):
    with pytest.raises(ConfigError, match="RESOURCE_PORTS_OLLAMA must be a port number"):
        probe_targets(VENDORS, own_port=8080, environ={"RESOURCE_PORTS_OLLAMA": text})


@given(
    models=st.lists(st.text(min_size=1, max_size=40), max_size=5),
    more=st.lists(st.sampled_from(["small-1", "auto", "off", "1.5", "a: b", "é", "#x", "x\ny", "null"]), max_size=5),
    has_key=st.booleans(),
    artifact=st.sampled_from([None, ARTIFACT, "/w/My Model.gguf"]),
)
def test_rendered_file_loads_back_to_the_same_configuration(tmp_path_factory, models, more, has_key, artifact):
    environ = {"OPENAI_API_KEY": "x"} if has_key else {}
    probe = ProbeResult("ollama", "http://127.0.0.1:11434/v1", (*models, *more))
    found = discover(environ, [probe], VENDORS, local_artifact=(artifact, "a model") if artifact else None)
    path = tmp_path_factory.getbasetemp() / "rendered.yaml"
    path.write_text(render_config(found), "utf-8")
    assert load_config(path, environ={}).config == load_config(environ={}, discovered=found.config).config
    assert compiled(found, environ).warnings == ()


def test_rendered_file_is_commented_and_shows_an_example_when_nothing_was_found():
    text = render_config(discover({}, [], VENDORS))
    assert "# No provider was found" in text
    text = render_config(discover({"OPENAI_API_KEY": "sk-1"}, [OLLAMA], VENDORS, local_artifact=BUNDLED))
    assert "  # OpenAI credential in OPENAI_API_KEY\n  openai: {" in text
    assert "  # Ollama at http://127.0.0.1:11434/v1\n" in text
    assert "sk-1" not in text


def test_credential_alone_is_not_a_provider_when_the_url_must_be_configured(vendors):
    found = discover({"R_TOKEN": "t", "T_KEY": "k", "GROQ_API_KEY": "g"}, [], vendors)
    assert list(found.config["providers"]) == ["groq"]
