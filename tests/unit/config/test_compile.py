import hashlib
from decimal import Decimal

import pytest

from intellirouter.config import SecretReferenceError, compile_config, is_loopback
from intellirouter.core import Price, Secret, Timeouts
from tests.unit.config.conftest import STRATEGIES

LAB = 'lab: {vendor: openai-compatible, base_url: "http://127.0.0.1:9100/v1/"}'


def test_minimal_configuration_compiles_with_defaults(compile_text):
    runtime = compile_text(f"providers: {{{LAB}}}\ndeployments: {{d: {{provider: lab, model: big-1}}}}\n")
    provider, deployment = runtime.providers["lab"], runtime.deployments["d"]
    assert provider.base_url == "http://127.0.0.1:9100/v1"
    assert provider.credentials == ()
    assert not provider.allows_any_model
    assert (deployment.provider, deployment.model, deployment.price, deployment.retries) == ("lab", "big-1", None, None)
    assert deployment.timeouts == Timeouts()
    assert runtime.is_auth_required is False
    assert runtime.default_retries == 2
    assert runtime.store.url == "sqlite:///intellirouter.db"
    assert runtime.store.spool_dir == "intellirouter.spool"
    assert runtime.warnings == ()


def test_timeouts_inherit_from_defaults_through_provider_to_deployment(compile_text):
    runtime = compile_text("""\
defaults: {timeouts: {connect_s: 1, idle_s: 2}}
providers:
  p: {vendor: fake, timeouts: {idle_s: 3, total_s: 4}}
deployments:
  d: {provider: p, model: x, timeouts: {total_s: 5}}
""")
    assert runtime.providers["p"].timeouts == Timeouts(connect_s=1, idle_s=3, total_s=4)
    assert runtime.deployments["d"].timeouts == Timeouts(connect_s=1, idle_s=3, total_s=5)


def test_retries_inherit(compile_text):
    runtime = compile_text("""\
defaults: {retries: 5, backoff: {base_s: 0.5, max_s: 9}}
providers: {p: {vendor: fake, retries: 4}, q: {vendor: fake}}
deployments: {a: {provider: p, model: x}, b: {provider: p, model: x, retries: 0}, c: {provider: q, model: x}}
models: {m: {deployments: [a], retries: 3}, n: {deployments: [a]}}
""")
    assert [runtime.deployments[name].retries for name in "abc"] == [4, 0, None]
    assert [runtime.models[name].retries for name in "mn"] == [3, 5]
    assert (runtime.backoff.base_s, runtime.backoff.max_s, runtime.default_retries) == (0.5, 9, 5)


def test_retry_order_inherits(compile_text):
    runtime = compile_text("""\
defaults: {retry_order: same_first}
providers: {p: {vendor: fake}}
deployments: {a: {provider: p, model: x}}
models: {m: {deployments: [a]}, n: {deployments: [a], retry_order: next_first}}
""")
    assert [runtime.models[name].retry_order for name in "mn"] == ["same_first", "next_first"]


def test_prices_are_exact(compile_text):
    runtime = compile_text("""\
providers: {p: {vendor: fake}}
deployments:
  a: {provider: p, model: x, price: {input_per_1m_usd: 0.1, output_per_1m_usd: 10, cache_read_per_1m_usd: 0.07}}
""")
    expected = Price(input=100_000, output=10_000_000, cache_read=70_000)
    assert runtime.deployments["a"].price == expected
    assert expected.input == int(Decimal("0.1") * 1_000_000)


def test_credentials_are_resolved_from_environment_and_files(compile_text, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("from-file\n")
    text = f"""\
providers:
  a: {{vendor: openai, credential: "env:A"}}
  b: {{vendor: openai, credentials: ["env:A", "file:{secret}", "env:A"]}}
  c: {{vendor: openai}}
  d: {{vendor: openai, credentials: []}}
"""
    runtime = compile_text(text, environ={"A": "from-env", "OPENAI_API_KEY": "usual"})
    assert runtime.providers["a"].credentials == (Secret("from-env"),)
    assert runtime.providers["b"].credentials == (Secret("from-env"), Secret("from-file"))
    assert runtime.providers["c"].credentials == (Secret("usual"),)
    assert runtime.providers["d"].credentials == ()
    assert "from-" not in repr(runtime)


def test_first_usual_variable_that_is_set_is_used(compile_text):
    runtime = compile_text("providers: {g: {vendor: gemini}}", environ={"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "two"})
    assert runtime.providers["g"].credentials == (Secret("two"),)


@pytest.mark.parametrize(
    ("provider", "path", "message"),
    [
        ('{vendor: openai, credential: "env:NOPE"}', "credential", "environment variable NOPE is not set"),
        ('{vendor: openai, credential: "env:EMPTY"}', "credential", "environment variable EMPTY is empty"),
        ('{vendor: openai, credential: "env:LINES"}', "credential", "characters that are not allowed in a credential"),
        ('{vendor: openai, credentials: ["env:OK", "env:NOPE"]}', "credentials[1]", "NOPE is not set"),
        ('{vendor: openai, credential: "file:/no/such/file"}', "credential", "cannot be read"),
        ('{vendor: openai, credential: "env:OK", credentials: ["env:OK"]}', "credentials", "both set"),
        ("{vendor: openai}", "credential", "The vendor `openai` requires a credential."),
        ("{vendor: opanai}", "vendor", "Unknown vendor `opanai`."),
        ("{vendor: openai-compatible}", "base_url", "The vendor `openai-compatible` requires a base URL."),
        ('{vendor: host, base_url: "http://h"}', "base_url", "runs inside the gateway"),
        ("{vendor: fake, ca_file: /no/such.pem}", "ca_file", "The file /no/such.pem does not exist."),
        ("{vendor: fake, ca_file: ~nobody-x/c.pem}", "ca_file", "The file ~nobody-x/c.pem does not exist."),
    ],
)
def test_problems_of_a_provider(compile_problems, provider, path, message):
    environ = {"OK": "v", "EMPTY": "  ", "LINES": "a\nb"}
    (problem,) = compile_problems(f"providers:\n  p: {provider}\n", environ=environ)
    assert problem.path == f"providers.p.{path}"
    assert message in problem.message
    assert problem.origin.endswith("config.yaml:2")


def test_a_reference_to_several_variables_joins_them(compile_text, compile_problems):
    text = "providers: {p: {vendor: openai, credential: 'env:ID+SECRET'}}"
    runtime = compile_text(text, environ={"ID": " AKIA1 ", "SECRET": "s/e"})
    assert runtime.providers["p"].credentials == (Secret("AKIA1:s/e"),)
    (problem,) = compile_problems(text, environ={"ID": "AKIA1"})
    assert "variable SECRET is not set" in problem.message


@pytest.mark.parametrize(
    ("environ", "credential"),
    [
        ({"R_ID": "i", "R_SECRET": "s"}, "i:s"),
        ({"R_ID": "i", "R_SECRET": "s", "R_TOKEN": "t"}, "t"),
    ],
)
def test_a_usual_variable_may_be_several(compile_text, environ, credential):
    runtime = compile_text("providers: {p: {vendor: regional, region: eu-west-1}}", environ=environ)
    assert runtime.providers["p"].credentials == (Secret(credential),)


def test_one_of_two_usual_variables_is_not_enough(compile_problems):
    (problem,) = compile_problems("providers: {p: {vendor: regional, region: x}}", environ={"R_ID": "i"})
    assert "requires a credential" in problem.message
    assert "variable R_TOKEN" in problem.hint


def test_a_key_file_of_several_lines_of_json_is_one_credential(compile_text, tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{\n  "type": "service_account",\n  "note": "ü",\n  "private_key": "-----\\nA\\n"\n}\n')
    runtime = compile_text(f"providers: {{p: {{vendor: openai, credential: 'file:{path}'}}}}")
    expected = '{"type":"service_account","note":"\\u00fc","private_key":"-----\\nA\\n"}'
    assert runtime.providers["p"].credentials == (Secret(expected),)


def test_stored_credentials_are_looked_up_by_name(compile_text, compile_problems):
    def stored(name):
        if name == "good":
            return "sk-stored"
        raise SecretReferenceError(f"There is no stored credential `{name}`.", "Store it.")

    text = "providers: {{p: {{vendor: openai, credential: 'store:{}'}}}}"
    assert compile_text(text.format("good"), stored=stored).providers["p"].credentials == (Secret("sk-stored"),)
    (problem,) = compile_problems(text.format("bad"), stored=stored)
    assert (problem.path, problem.message) == ("providers.p.credential", "There is no stored credential `bad`.")
    (problem,) = compile_problems(text.format("good"))
    assert "cannot be read here" in problem.message


def test_a_region_fills_the_vendors_address(compile_text, compile_problems):
    environ = {"R_TOKEN": "t", "T_KEY": "k"}
    provider = compile_text("providers: {p: {vendor: regional, region: eu-west-1}}", environ=environ).providers["p"]
    assert (provider.base_url, provider.region) == ("https://models.eu-west-1.example", "eu-west-1")
    text = 'providers: {p: {vendor: regional, base_url: "http://proxy"}}'
    assert compile_text(text, environ=environ).providers["p"].base_url == "http://proxy"
    (problem,) = compile_problems("providers: {p: {vendor: regional}}", environ=environ)
    assert (problem.path, "https://models.REGION.example" in problem.hint) == ("providers.p.region", True)
    (problem,) = compile_problems("providers: {p: {vendor: tenant}}", environ=environ)
    assert (problem.path, problem.hint) == ("providers.p.base_url", "Set it: `base_url: https://TENANT.example/v1`.")


def test_a_region_is_part_of_a_host_name_and_nothing_else(load, problems_of):
    for region in ("evil.example/", "a b", "A", "-x", ""):
        (problem,) = problems_of(f"providers: {{p: {{vendor: openai, region: '{region}'}}}}")
        assert problem.path == "providers.p.region"


def test_dialect_and_auth_may_be_overridden(compile_text, problems_of):
    text = "providers: {p: {vendor: fake, dialect: anthropic_messages, auth: x-api-key}, q: {vendor: fake}}"
    providers = compile_text(text).providers
    assert (providers["p"].dialect, providers["p"].auth) == ("anthropic_messages", "x-api-key")
    assert (providers["q"].dialect, providers["q"].auth) == (None, None)
    (problem,) = problems_of("providers: {p: {vendor: fake, dialect: antropic_messages}}")
    assert "anthropic_messages" in problem.hint


def test_missing_credential_hint_names_the_usual_variable(compile_problems):
    (problem,) = compile_problems("providers: {p: {vendor: groq}}")
    assert "GROQ_API_KEY" in problem.hint


def test_unknown_vendor_gets_a_suggestion(compile_problems):
    (problem,) = compile_problems("providers: {p: {vendor: olama}}\ndeployments: {d: {provider: p, model: x}}\n")
    assert problem.hint == "Did you mean `ollama`?"


def test_secret_file_with_other_content_is_rejected(compile_problems, tmp_path):
    path = tmp_path / "k"
    for content, message in ((b"\xff\xfe", "is not valid UTF-8"), (b"x" * 70_000, "64 KiB"), (b" \n", "is empty")):
        path.write_bytes(content)
        (problem,) = compile_problems(f"providers: {{p: {{vendor: fake, credential: 'file:{path}'}}}}")
        assert message in problem.message


@pytest.mark.parametrize(
    ("vendor", "stated", "base_url", "uds"),
    [
        ("openai", "https://proxy.example/v1///", "https://proxy.example/v1", None),
        ("openai", "unix:/run/x.sock", "http://localhost/v1", "/run/x.sock"),
        ("openai-compatible", "unix:/run/x.sock", "http://localhost", "/run/x.sock"),
        ("openai-compatible", "unix:/run/x.sock:/api/v2/", "http://localhost/api/v2", "/run/x.sock"),
    ],
)
def test_base_url_is_normalized(compile_text, vendor, stated, base_url, uds):
    runtime = compile_text(f'providers: {{p: {{vendor: {vendor}, base_url: "{stated}", credentials: []}}}}')
    assert (runtime.providers["p"].base_url, runtime.providers["p"].uds) == (base_url, uds)


def test_built_in_vendors_have_no_address(compile_text):
    runtime = compile_text("""\
providers: {local: {vendor: host}, fake: {vendor: fake, models: "*"}}
deployments:
  a: {provider: local, artifact: "bundled:smollm2-135m"}
  b: {provider: local, artifact: /weights/tiny.gguf, model: named}
""")
    assert runtime.providers["local"].base_url is None
    assert runtime.providers["fake"].allows_any_model
    assert (runtime.deployments["a"].artifact, runtime.deployments["a"].model) == (
        "bundled:smollm2-135m",
        "smollm2-135m",
    )
    assert runtime.deployments["b"].model == "named"


@pytest.mark.parametrize(
    ("deployment", "path", "message", "hint"),
    [
        ("{provider: lob, model: x}", "provider", "Unknown provider `lob`.", "Did you mean `lab`?"),
        ("{provider: lab}", "model", "This setting is required.", "provider's name of the model"),
        (
            "{provider: lab, artifact: x}",
            "artifact",
            "Only providers of the vendor `host` serve artifacts.",
            "model: NAME",
        ),
        (
            "{provider: local, model: x}",
            "artifact",
            "A deployment of the vendor `host` requires an artifact.",
            "bundled:",
        ),
    ],
)
def test_problems_of_a_deployment(compile_problems, deployment, path, message, hint):
    text = f"providers:\n  {LAB}\n  local: {{vendor: host}}\ndeployments:\n  d: {deployment}\n"
    (problem,) = compile_problems(text)
    assert problem.path == f"deployments.d.{path}"
    assert message in problem.message
    assert hint in problem.hint
    assert problem.origin.endswith("config.yaml:5")


def test_all_compile_problems_come_together(compile_problems):
    text = """\
server: {workers: 4}
store: postgresql://u:hunter2@h/db
shared_state: redis://h
providers: {p: {vendor: nope}}
deployments: {d: {provider: gone, model: x}}
models: {m: {deployments: [zzz]}}
keys: [{key: "env:NOPE", tenant: nobody}]
"""
    problems = compile_problems(text)
    assert [problem.path for problem in problems] == [
        "server.workers",
        "store.url",
        "shared_state",
        "providers.p.vendor",
        "deployments.d.provider",
        "models.m.deployments[0]",
        "keys[0].tenant",
        "keys[0].key",
    ]
    assert all(problem.hint for problem in problems)
    assert "hunter2" not in str(problems)
    assert problems[0].origin.endswith("config.yaml:1")


@pytest.mark.parametrize("url", ["mysql://h/db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///dir/"])
def test_store_must_be_an_sqlite_file(compile_problems, url):
    (problem,) = compile_problems(f"store: '{url}'")
    assert problem.path == "store.url"
    assert "sqlite:///" in problem.hint


def test_spool_is_next_to_the_database(compile_text):
    assert compile_text("store: sqlite:////var/lib/ir/a.db").store.spool_dir == "/var/lib/ir/a.spool"
    assert compile_text("store: {url: 'sqlite:///a.db', spool_dir: /fast/s}").store.spool_dir == "/fast/s"


def test_keys_are_stored_as_digests(compile_text):
    digest = hashlib.sha256(b"other").hexdigest()
    text = f"""\
tenants: {{acme: {{}}}}
keys:
  - {{key: "env:K", tenant: acme, name: ci, models: ["a*"], grants: [admin], expires: 2030-01-01T00:00:00}}
  - {{key: "sha256:{digest.upper()}"}}
"""
    runtime = compile_text(text, environ={"K": "secret-key"})
    first, second = runtime.keys
    assert first.digest == hashlib.sha256(b"secret-key").digest()
    assert (first.tenant, first.name, first.models, first.grants) == ("acme", "ci", ("a*",), frozenset({"admin"}))
    assert first.expires_us == 1_893_456_000_000_000
    assert (second.digest.hex(), second.tenant, second.name, second.models) == (
        digest,
        "default",
        f"key-{digest[:12]}",
        ("*",),
    )
    assert second.expires_us is None


def test_duplicate_key_is_an_error(compile_problems):
    digest = hashlib.sha256(b"k").hexdigest()
    (problem,) = compile_problems(f'keys: [{{key: "env:K"}}, {{key: "sha256:{digest}"}}]', environ={"K": "k"})
    assert problem.path == "keys[1].key"
    assert "keys[0]" in problem.message


def test_unnamed_key_keeps_its_identity_when_others_are_added_or_removed(compile_text):
    (alone,) = compile_text("keys: [{key: 'env:B'}]", environ={"B": "b"}).keys
    both = compile_text("keys: [{key: 'env:A'}, {key: 'env:B'}]", environ={"A": "a", "B": "b"}).keys
    assert both[1] == alone
    assert both[0].name != alone.name


def test_two_keys_of_a_tenant_with_the_same_name_are_an_error(compile_text, compile_problems):
    text = "tenants: {acme: {}}\nkeys: [{key: 'env:A', name: ci}, {key: 'env:B', name: ci%s}]"
    environ = {"A": "a", "B": "b"}
    (problem,) = compile_problems(text % "", environ=environ)
    assert problem.path == "keys[1].name"
    assert problem.message == "`keys[0]` has the same name `ci` and the same tenant."
    assert problem.hint == "Give each key of a tenant its own name."
    assert problem.origin
    assert len(compile_text(text % ", tenant: acme", environ=environ).keys) == 2


def test_name_must_differ_from_that_of_an_unnamed_key(compile_problems):
    name = f"key-{hashlib.sha256(b'a').hexdigest()[:12]}"
    text = f"keys: [{{key: 'env:A'}}, {{key: 'env:B', name: {name}}}]"
    (problem,) = compile_problems(text, environ={"A": "a", "B": "b"})
    assert problem.path == "keys[1].name"


def test_names_are_compared_although_a_key_is_missing(compile_problems):
    problems = compile_problems("keys: [{key: 'env:A', name: ci}, {key: 'env:B', name: ci}]", environ={"A": "a"})
    assert {problem.path for problem in problems} == {"keys[1].name", "keys[1].key"}


def test_key_of_an_unknown_tenant_gets_a_suggestion(compile_problems):
    (problem,) = compile_problems("tenants: {acme: {}}\nkeys: [{key: 'env:K', tenant: acne}]", environ={"K": "k"})
    assert problem.hint == "Did you mean `acme`?"


@pytest.mark.parametrize(
    ("text", "required", "warning"),
    [
        ("", False, ""),
        ("server: {host: 0.0.0.0}", True, "`keys` is empty"),
        ("server: {host: 0.0.0.0}", True, 'for example `keys: [{key: "env:MY_KEY", name: me}]`'),
        ("auth: {required: true}\nkeys: [{key: 'env:K'}]", True, ""),
        ("server: {host: 0.0.0.0}\nauth: {required: false}", False, "Anyone who can reach 0.0.0.0 can send requests."),
        ("server: {host: '::1'}", False, ""),
        ("keys: [{key: 'env:K'}]", True, ""),
        ("auth: {required: false}\nkeys: [{key: 'env:K'}]", False, ""),
        ("auth: {required: false}\nkeys: [{key: 'env:K', models: [a]}]", False, "`models` of keys has no effect."),
    ],
)
def test_auth_depends_on_keys_and_address_unless_configured(compile_text, text, required, warning):
    runtime = compile_text(text, environ={"K": "k"})
    assert runtime.is_auth_required is required
    assert warning in "".join(runtime.warnings)
    assert bool(runtime.warnings) is bool(warning)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "::1"])
def test_loopback_hosts(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "127.0.0.999"])
def test_other_hosts_are_not_loopback(host):
    assert not is_loopback(host)


def test_logging_and_host_settings_are_compiled(compile_text):
    runtime = compile_text(
        "logging: {level: debug, format: json, bodies: full}\nhost: {slots: 2, threads: 1, run_dir: /r}"
    )
    assert (runtime.log_level, runtime.log_format, runtime.logs_bodies) == ("debug", "json", True)
    assert (runtime.host.slots, runtime.host.threads, runtime.host.run_dir, runtime.host.cache_dir) == (
        2,
        1,
        "/r",
        None,
    )


def test_process_environment_is_the_default(load, vendors, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_CREDENTIAL", "from-process")
    loaded = load("providers: {p: {vendor: openai, credential: 'env:A_CREDENTIAL'}}")
    runtime = compile_config(loaded.config, vendors=vendors, strategies=STRATEGIES)
    assert runtime.providers["p"].credentials == (Secret("from-process"),)


def test_magic_models_need_no_declaration(compile_text):
    runtime = compile_text("providers: {f: {vendor: magic}}\nmodels: {m: {deployments: [f/echo, f/slow]}}\n")
    assert runtime.models["m"].deployments == ("f/echo", "f/slow")
    assert runtime.providers["f"].allows_any_model


def test_addresses_from_which_urls_may_be_fetched(compile_text):
    assert compile_text("").server.fetch_allow == ()
    stated = compile_text("server: {fetch_allow: [10.0.0.0/8, files.corp.example]}").server
    assert stated.fetch_allow == ("10.0.0.0/8", "files.corp.example")


def test_hint_for_an_unknown_vendor_names_the_page_that_lists_all(compile_problems):
    (problem,) = compile_problems("providers: {p: {vendor: zzzzzz}}")
    assert problem.message == "Unknown vendor `zzzzzz`."
    assert problem.hint.endswith("See docs/reference/vendors.md for all of them.")


def test_throughput_is_inherited_and_streams_are_continued_on_request(compile_text):
    runtime = compile_text(
        """
providers: {p: {vendor: openai, credentials: [], timeouts: {min_tokens_per_s: 2}}, q: {vendor: openai, credentials: []}}
defaults: {timeouts: {min_tokens_per_s: 1, throughput_window_s: 9}}
deployments:
  a: {provider: p, model: x}
  b: {provider: q, model: x, timeouts: {throughput_window_s: 5}}
  c: {provider: q, model: x, timeouts: {min_tokens_per_s: 0}}
models: {m: {deployments: [a], continuation: prefill}, n: {deployments: [a], continuation: off}, o: {deployments: [a]}}
"""
    )
    floors = {name: runtime.deployments[name].timeouts for name in "abc"}
    assert {name: (each.min_tokens_per_s, each.throughput_window_s) for name, each in floors.items()} == {
        "a": (2, 9),
        "b": (1, 5),
        "c": (0, 9),
    }
    assert [runtime.models[name].continues_streams for name in "mno"] == [True, False, False]
