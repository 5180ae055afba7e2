import pytest

from intellirouter.config import effective_settings


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("INTELLIR_SERVER__PORT", "9000", "server.port", 9000),
        ("intellir_server__port", "9000", "server.port", 9000),
        ("INTELLIR_STORE", "sqlite:///x.db", "store.url", "sqlite:///x.db"),
        ("INTELLIR_STORE__URL", "sqlite:///x.db", "store.url", "sqlite:///x.db"),
        ("INTELLIR_AUTH__REQUIRED", "true", "auth.required", True),
        ("INTELLIR_AUTH__REQUIRED", "1", "auth.required", True),
        ("INTELLIR_STORE__FSYNC_INTERVAL_S", "null", "store.fsync_interval_s", None),
        ("INTELLIR_DEFAULTS__CACHE", "off", "defaults.cache", "off"),
        ("INTELLIR_SERVER", "{port: 9000, host: '::1'}", "server.port", 9000),
        ("INTELLIR_PROVIDERS__OPENAI__VENDOR", "groq", "providers.OpenAI.vendor", "groq"),
        ("INTELLIR_PROVIDERS__OPENAI__CREDENTIALS", "env:A, env:B", "providers.OpenAI.credentials", ["env:A", "env:B"]),
        ("INTELLIR_DEPLOYMENTS__GPT_4_1__MODEL", "2024", 'deployments."gpt-4.1".model', "2024"),
        ("INTELLIR_MODELS__M__DEPLOYMENTS", "[a, b]", "models.m.deployments", ["a", "b"]),
        ("INTELLIR_KEYS__0__NAME", "ci", "keys[0].name", "ci"),
        ("INTELLIR_KEYS__0__LIMITS__CONCURRENCY", "3", "keys[0].limits.concurrency", 3),
        ("ORCHESTRATOR_HOST", "0.0.0.0", "server.host", "0.0.0.0"),
        ("API_PORT", "9001", "server.port", 9001),
        ("ORCHESTRATOR_API_PORT", "9002", "server.port", 9002),
        ("LOG_LEVEL", "WARNING", "logging.level", "warning"),
        ("ORCHESTRATOR_DEBUG", "true", "logging.level", "debug"),
        ("INTELLIR_ROLE", "router", "server.role", "router"),
    ],
)
def test_variable_sets_one_setting_and_is_its_origin(load, name, text, path, value):
    base = """\
providers: {OpenAI: {vendor: openai}}
deployments: {gpt-4.1: {provider: OpenAI, model: x}}
keys: [{key: "env:K", name: old}]
models: {m: {deployments: [gpt-4.1]}}
"""
    loaded = load(base, environ={name: text})
    assert {item.path: item.value for item in effective_settings(loaded)}[path] == value
    assert loaded.origins[path] == f"env {name}"


def test_price_from_a_variable_is_exact(load):
    loaded = load(
        "deployments: {d: {provider: p, price: {input_per_1m_usd: 1, output_per_1m_usd: 1}}}",
        environ={"INTELLIR_DEPLOYMENTS__D__PRICE__INPUT_PER_1M_USD": "0.1000000000000000000001"},
    )
    assert str(loaded.config.deployments["d"].price.input_per_1m_usd) == "0.1000000000000000000001"


def test_new_entry_is_named_in_lower_case(load):
    environ = {
        "INTELLIR_PROVIDERS__LAB__VENDOR": "openai-compatible",
        "INTELLIR_PROVIDERS__LAB__BASE_URL": "http://h/v1",
    }
    assert list(load("", environ=environ).config.providers) == ["lab"]


def test_keys_grow_by_index(load):
    environ = {f"INTELLIR_KEYS__{index}__KEY": f"env:K{index}" for index in range(12)}
    assert [key.key for key in load("", environ=environ).config.keys] == [f"env:K{index}" for index in range(12)]


def test_whole_section_comes_before_its_parts(load):
    environ = {"INTELLIR_SERVER__PORT": "2", "INTELLIR_SERVER": "{port: 1, host: h}"}
    config = load("", environ=environ).config
    assert (config.server.port, config.server.host) == (2, "h")


def test_path_names_override_fixed_names_and_orchestrator_overrides_plain(load):
    assert load("", environ={"API_PORT": "1", "ORCHESTRATOR_API_PORT": "2"}).config.server.port == 2
    environ = {"API_PORT": "1", "ORCHESTRATOR_API_PORT": "2", "INTELLIR_SERVER__PORT": "3"}
    assert load("", environ=environ).config.server.port == 3
    assert load("", environ={"LOG_LEVEL": "error", "ORCHESTRATOR_DEBUG": "0"}).config.logging.level == "error"
    assert load("", environ={"LOG_LEVEL": "error", "ORCHESTRATOR_DEBUG": "1"}).config.logging.level == "debug"


def test_empty_variables_and_foreign_names_are_ignored(load):
    environ = {
        "INTELLIR_SERVER__PORT": " ",
        "API_PORT": "",
        "INTELLIROUTER_API_KEY": "x",
        "PATH": "/bin",
        "INTELLI": "1",
    }
    assert load("", environ=environ).config == load("").config


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("INTELLIR_SERVER__PROT", "1", "Unknown setting `prot`.", "Did you mean `INTELLIR_SERVER__PORT`?"),
        (
            "INTELLIR_PROVIDERS__LAB__VENDR",
            "x",
            "Unknown setting `vendr`.",
            "Did you mean `INTELLIR_PROVIDERS__LAB__VENDOR`?",
        ),
        ("INTELLIR_XYZZY", "1", "Unknown setting `xyzzy`.", "Known settings are `server`, "),
        ("INTELLIR_SERVER__PORT__X", "1", "`server.port` is a single value", ""),
        ("INTELLIR_KEYS__3__NAME", "x", "`3` is not a valid index of `keys`.", "Use 0"),
        ("INTELLIR_KEYS__A__NAME", "x", "`A` is not a valid index of `keys`.", "Use 0"),
        ("INTELLIR_MODELS__M__DEPLOYMENTS__0", "x", "can only be set as a whole", "`a, b, c`"),
        ("INTELLIR_SERVER__PORT", "[1", "The value is not valid YAML.", ""),
        ("INTELLIR_PROVIDERS____VENDOR", "x", "A name is missing after `providers`.", ""),
        ("API_PORT", "many", "must be an integer, not `many`", ""),
    ],
)
def test_invalid_variable_is_an_error_with_its_name(problems_of, name, text, message, hint):
    (problem,) = problems_of("", environ={name: text})
    assert problem.origin == f"env {name}"
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("text", ["0", "no", "OFF", "False"])
def test_debug_can_be_turned_off_in_words(load, text):
    assert load("", environ={"ORCHESTRATOR_DEBUG": text}).config.logging.level == "info"


def test_debug_with_another_value_is_an_error(problems_of):
    (problem,) = problems_of("", environ={"ORCHESTRATOR_DEBUG": "banana"})
    assert problem.message == "ORCHESTRATOR_DEBUG must be true or false, not `banana`."
    assert problem.origin == "env ORCHESTRATOR_DEBUG"


@pytest.mark.parametrize("name", ["API_PORT", "ORCHESTRATOR_API_PORT", "ORCHESTRATOR_HOST", "UI_PORT"])
def test_service_link_is_explained_and_ignored(load, name):
    loaded = load("", environ={name: "tcp://10.96.0.7:80"})
    assert loaded.config == load("").config
    (warning,) = loaded.warnings
    assert warning.startswith(f"{name}: `tcp://10.96.0.7:80` is the address of a Service (a service link of Kubernetes")
    assert "enableServiceLinks: false" in warning


def test_links_of_a_service_with_our_prefix_are_ignored_with_one_warning(load):
    environ = {
        "INTELLIR_PORT": "tcp://10.0.0.1:80",
        "INTELLIR_PORT_80_TCP": "tcp://10.0.0.1:80",
        "INTELLIR_PORT_80_TCP_ADDR": "10.0.0.1",
        "INTELLIR_PORT_80_TCP_PROTO": "tcp",
        "INTELLIR_SERVICE_HOST": "10.0.0.1",
        "INTELLIR_SERVICE_PORT": "80",
        "INTELLIR_SERVICE_PORT_HTTP": "80",
        "INTELLIROUTER_PORT": "tcp://10.0.0.1:80",
        "INTELLIROUTER_SERVICE_HOST": "10.0.0.1",
    }
    loaded = load("", environ=environ)
    assert loaded.config == load("").config
    (warning,) = loaded.warnings
    assert "describe the Service `intellir`" in warning
    assert all(name in warning for name in environ if name.startswith("INTELLIR_"))


def test_url_that_looks_like_a_link_is_still_a_setting(problems_of):
    environ = {"INTELLIR_PROVIDERS__LAB__BASE_URL": "tcp://h:1", "INTELLIR_PROVIDERS__LAB__VENDOR": "openai"}
    (problem,) = problems_of("", environ=environ)
    assert problem.path == "providers.lab.base_url"


@pytest.mark.parametrize(
    ("name", "text", "warning"),
    [
        ("UI_PORT", "3001", "there is no dashboard in this version"),
        ("RESOURCE_PORTS_POSTGRES", "5432", "PostgreSQL is not available in this version"),
        ("RESOURCE_PORTS_REDIS", "6379", "Redis is not available in this version"),
        ("RESOURCE_PORTS_OLAMA", "1", "not known and has no effect. `RESOURCE_PORTS_OLLAMA` is."),
        ("INTELLIROUTER_SERVER__PORT", "9000", "Did you mean `INTELLIR_SERVER__PORT`?"),
        ("INTELLIROUTER_PORT", "9000", "Did you mean `INTELLIR_SERVER__PORT`?"),
    ],
)
def test_variable_without_effect_is_a_warning(load, name, text, warning):
    loaded = load("", environ={name: text})
    assert [each for each in loaded.warnings if each.startswith(f"{name}: ") and warning in each] == list(
        loaded.warnings
    )
    assert len(loaded.warnings) == 1


def test_variables_of_the_client_and_of_other_programs_are_no_warning(load):
    environ = {"INTELLIROUTER_API_KEY": "k", "INTELLIROUTER_BASE_URL": "http://h", "API_TOKEN": "x", "UI_PORT": " "}
    assert load("", environ=environ).warnings == ()


def test_ambiguous_entry_name_is_an_error(problems_of):
    text = "providers: {a-b: {vendor: x}, a.b: {vendor: x}}"
    (problem,) = problems_of(text, environ={"INTELLIR_PROVIDERS__A_B__VENDOR": "y"})
    assert "matches more than one name: `a-b`, `a.b`." in problem.message


def test_secret_in_a_variable_is_rejected_and_not_printed(problems_of):
    environ = {"INTELLIR_PROVIDERS__A__CREDENTIAL": "sk-live-1", "INTELLIR_PROVIDERS__A__VENDOR": "openai"}
    (problem,) = problems_of("", environ=environ)
    assert problem.origin == "env INTELLIR_PROVIDERS__A__CREDENTIAL"
    assert "sk-live" not in str(problem)
