import pytest

from intellirouter.config import ConfigError


def test_all_problems_are_reported_together(problems_of):
    text = """\
server: {prot: 1, port: 70000}
providers:
  a: {vendor: openai, credential: sk-secret-value}
models:
  m: {deployments: []}
logging: {format: jsn}
"""
    found = {problem.path: problem for problem in problems_of(text, environ={"INTELLIR_SEVER__PORT": "1"})}
    assert set(found) == {
        "sever.port",
        "server.prot",
        "server.port",
        "providers.a.credential",
        "models.m.deployments",
        "logging.format",
    }
    assert found["server.prot"].hint == "Did you mean `port`?"
    assert found["server.prot"].origin.endswith(":1")
    assert found["logging.format"].hint == "Did you mean `json`?"
    assert found["logging.format"].origin.endswith(":6")
    assert found["sever.port"].hint == "Did you mean `INTELLIR_SERVER__PORT`?"
    assert found["server.port"].message == "The value must be at most 65535, not 70000."


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("sever: {}", "sever", "Did you mean `server`?"),
        ("providers: {a: {vendor: x, api_key: y}}", "providers.a.api_key", "Did you mean `credential`?"),
        ("providers: {a: {vendor: x, baseurl: y}}", "providers.a.baseurl", "Did you mean `base_url`?"),
        (
            "deployments: {d: {provider: x, price: {input: 1}}}",
            "deployments.d.price.input",
            "Known settings are `input_per_1m_usd`, ",
        ),
        ("keys: [{key: 'env:K', tennant: t}]", "keys[0].tennant", "Did you mean `tenant`?"),
        ("deployments: {gpt-4.1: {providr: x}}", 'deployments."gpt-4.1".providr', "Did you mean `provider`?"),
    ],
)
def test_unknown_key_names_path_and_nearest_setting(problems_of, text, path, hint):
    found = {problem.path: problem for problem in problems_of(text)}
    assert found[path].hint.startswith(hint)
    assert found[path].origin.endswith("config.yaml:1")


def test_missing_required_setting_points_at_its_section(problems_of):
    (problem,) = problems_of("providers:\n  lab:\n")
    assert (problem.path, problem.message) == ("providers.lab.vendor", "This setting is required.")
    (problem,) = problems_of("providers:\n  lab: {base_url: 'http://h'}\n")
    assert problem.origin.endswith(":2")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("server: {port: true}", "server.port", "must be an integer, not `true`"),
        ("server: {port: '80'}", "server.port", "must be an integer"),
        ("server: []", "server", "must be a mapping of settings"),
        ("server: {cors_origins: [app.example.com]}", "server.cors_origins[0]", "`app.example.com` is not an origin."),
        ("server: {cors_origins: ['https://a/b']}", "server.cors_origins[0]", "`https://a/b` is not an origin."),
        ("server: {allowed_hosts: ['a:80']}", "server.allowed_hosts[0]", "`a:80` is not a host name."),
        ("server: {allowed_hosts: ['http://a']}", "server.allowed_hosts[0]", "`http://a` is not a host name."),
        ("auth: {required: 'yes'}", "auth.required", "must be `true` or `false`, not `yes`"),
        ("deployments: {d: {provider: p, region: no}}", "deployments.d.region", "must be a string"),
        ("models: {m: {deployments: a}}", "models.m.deployments", "must be a list"),
        ("deployments: {d: {provider: p, weight: .nan}}", "deployments.d.weight", "must be a finite number"),
        ("deployments: {d: {provider: p, weight: .inf}}", "deployments.d.weight", "must be a finite number"),
        ("defaults: {timeouts: {connect_s: 0}}", "defaults.timeouts.connect_s", "must be greater than 0"),
        ("defaults: {retries: 11}", "defaults.retries", "must be at most 10, not 11"),
        ("providers: {a: {vendor: x, models: all}}", "providers.a.models", "must be `*`, not `all`"),
        ("providers: {a/b: {vendor: x}}", "providers.a/b", "The name is not valid."),
        ("models: {'a b': {deployments: [x]}}", 'models."a b"', "The name is not valid."),
        ("deployments: {'a*': {provider: x}}", "deployments.a*", "The name is not valid."),
        ("providers: {a: {vendor: x, base_url: 'ftp://h'}}", "providers.a.base_url", "must start with `http://`"),
        ("providers: {a: {vendor: x, base_url: 'http://h:99999/'}}", "providers.a.base_url", "invalid host or port"),
        ("providers: {a: {vendor: x, base_url: 'http://u:pw@h/'}}", "providers.a.base_url", "user name or a password"),
        ("providers: {a: {vendor: x, base_url: 'http://h/?k=v'}}", "providers.a.base_url", "must not contain"),
        ("providers: {a: {vendor: x, base_url: 'unix:sock'}}", "providers.a.base_url", "absolute path"),
        (f"providers: {{a: {{vendor: x, base_url: 'unix:/{'s' * 108}'}}}}", "providers.a.base_url", "107 bytes"),
        ("providers: {a: {vendor: x, headers: {Authorization: b}}}", "providers.a.headers", "carries a credential"),
        ("providers: {a: {vendor: x, headers: {Host: b}}}", "providers.a.headers", "is set by the gateway"),
        ('providers: {a: {vendor: x, headers: {x-a: "b\\r\\nc: d"}}}', "providers.a.headers", "printable ASCII"),
    ],
)
def test_invalid_value_is_described_in_plain_words(problems_of, text, path, message):
    (problem,) = problems_of(text)
    assert problem.path == path
    assert message in problem.message


def test_text_that_yaml_reads_as_something_else_gets_a_hint(problems_of):
    assert problems_of("deployments: {d: {provider: p, model: 123}}")[0].hint == "Put the value in quotes."


@pytest.mark.parametrize(
    "text",
    [
        "providers: {a: {vendor: openai, credential: sk-live-0123456789}}",
        "providers: {a: {vendor: openai, credentials: ['env:A', sk-live-0123456789]}}",
        "providers: {a: {vendor: openai, credential: 'store:sk-live-0123456789'}}",
        "keys: [{key: sk-live-0123456789}]",
        "keys: [{key: 'sha256:sk-live-0123456789'}]",
        "providers: {a: {vendor: openai, api_key: sk-live-0123456789}}",
        "providers: {a: {vendor: openai, headers: {authorization: sk-live-0123456789}}}",
        "providers: {a: {vendor: openai, credential: {v: sk-live-0123456789}}}",
    ],
)
def test_secret_in_the_file_is_rejected_and_not_printed(load, text):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "sk-live" not in str(caught.value)
    assert "sk-live" not in repr(caught.value.problems)


def test_hint_for_a_literal_secret_shows_how_to_write_a_reference(problems_of):
    (problem,) = problems_of("providers: {a: {vendor: openai, credential: hunter2}}")
    assert "reference" in problem.message
    assert "env:NAME" in problem.hint
    assert "file:PATH" in problem.hint
    assert "store:NAME" in problem.hint


def test_unquoted_off_is_a_string(load):
    config = load("defaults: {cache: off}\nlogging: {bodies: off}\n").config
    assert config.defaults.cache == "off"
    assert config.logging.bodies == "off"


def test_store_is_a_url_or_a_mapping(load):
    short = load("store: sqlite:///a.db\n")
    long = load("store: {url: 'sqlite:///a.db'}\n")
    assert short.config == long.config
    assert short.origins["store.url"].endswith("config.yaml:1")
    assert load("store: {fsync_interval_s: null}\n").config.store.fsync_interval_s is None


def test_log_level_is_read_in_any_case(load):
    assert load("logging: {level: WARN, format: JSON}\n").config.logging.level == "warning"
