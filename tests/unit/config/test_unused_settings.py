"""Settings that other settings make ineffective: each one is a warning of `config check`."""

import pytest

OPENAI = "providers: {o: {vendor: openai, credentials: [], %s}}\n"
ONE = "deployments: {a: {provider: o, model: m, %s}}\n"


@pytest.mark.parametrize(
    ("text", "path", "warning"),
    [
        ("server: {unix_socket: /tmp/s, port: 1}", "server.port", "because server.unix_socket is set"),
        ("server: {allowed_hosts: [gw]}\nkeys: [{key: 'env:K'}]", "server.allowed_hosts", "because a key is required"),
        ("server: {stream_ping_s: 0, first_ping_s: 9}", "server.first_ping_s", "because server.stream_ping_s is 0"),
        (OPENAI % "prompt_cache: off", "providers.o.prompt_cache", "needs no marks"),
        (OPENAI % "" + ONE % "prompt_cache: auto", "deployments.a.prompt_cache", "needs no marks"),
        ("server: {max_buffered_bytes: 1048576}", "server.max_buffered_bytes", "so 33554432 is used instead"),
        ("server: {max_in_flight_bytes: 1048576}", "server.max_body_bytes", "are always rejected"),
        ("batches: {max_file_bytes: 104857600}", "batches.max_file_bytes", "limited by server.max_body_bytes"),
        ("defaults: {timeouts: {throughput_window_s: 9}}", "defaults.timeouts.throughput_window_s", "is 0"),
        (OPENAI % "timeouts: {throughput_window_s: 9}", "providers.o.timeouts.throughput_window_s", "is 0"),
        (
            "defaults: {timeouts: {min_tokens_per_s: 1}}\n"
            + OPENAI % ""
            + ONE % "timeouts: {throughput_window_s: 9, min_tokens_per_s: 0}",
            "deployments.a.timeouts.throughput_window_s",
            "is 0",
        ),
        ("defaults: {backoff: {base_s: 5, max_s: 1}}", "defaults.backoff.base_s", "which is used instead"),
        (OPENAI % "region: eu", "providers.o.region", "no endpoints that are selected by region"),
        (OPENAI % "base_url: 'http://h/v1', ca_file: FILE", "providers.o.ca_file", "does not begin with https"),
        ("providers: {o: {vendor: openai, auth: none, credential: 'env:K'}}", "providers.o.auth", "No credential is"),
        ("providers: {m: {vendor: magic, region: eu}}", "providers.m.region", "runs inside the gateway"),
        ("providers: {m: {vendor: magic, ca_file: FILE}}", "providers.m.ca_file", "runs inside the gateway"),
        ("providers: {m: {vendor: magic, headers: {x-a: b}}}", "providers.m.headers", "runs inside the gateway"),
        ("providers: {h: {vendor: host, models: '*'}}", "providers.h.models", "Only models under `deployments`"),
        (OPENAI % "" + ONE % "region: eu", "deployments.a.region", "regions do not influence routing"),
        (OPENAI % "" + ONE % "weight: 2", "deployments.a.weight", "no model with the strategy weighted"),
        (OPENAI % "" + ONE % "capabilities: [chat, tool]", "deployments.a.capabilities", "Did you mean `tools`?"),
        ("host: {threads: 2}", "host", "no deployment has a provider of the vendor `host`"),
        ("tenants: {acme: {}}", "tenants.acme", "no key belongs to it"),
    ],
)  # fmt: skip
def test_setting_without_effect_is_a_warning(compile_text, text, path, warning):
    (found,) = compile_text(text.replace("FILE", __file__), environ={"K": "k"}).warnings
    assert found.startswith(f"{path}: ")
    assert warning in found


@pytest.mark.parametrize(
    "text",
    [
        "server: {unix_socket: /tmp/s, host: 127.0.0.1}",
        "server: {allowed_hosts: [gw]}",
        "server: {stream_ping_s: 0, first_ping_s: 0}",
        OPENAI % "dialect: anthropic_messages, prompt_cache: off",
        "defaults: {prompt_cache: off}",
        "server: {max_buffered_bytes: 33554432}",
        "defaults: {timeouts: {min_tokens_per_s: 1}}\n" + OPENAI % "timeouts: {throughput_window_s: 9}",
        OPENAI % "timeouts: {throughput_window_s: 9}" + ONE % "timeouts: {min_tokens_per_s: 1}",
        OPENAI % "timeouts: {min_tokens_per_s: 1}" + ONE % "timeouts: {throughput_window_s: 9}",
        "defaults: {timeouts: {throughput_window_s: 9}}\n" + OPENAI % "timeouts: {min_tokens_per_s: 1}",
        "batches: {max_file_bytes: 33554432}",
        OPENAI % "ca_file: FILE",
        OPENAI % "auth: sigv4, region: eu-west-1",
        "providers: {m: {vendor: magic, timeouts: {total_s: 5}}}",
        OPENAI % "" + ONE % "weight: 2" + "models: {m: {deployments: [a], strategy: least_busy}}",
        OPENAI % "" + ONE % "capabilities: [chat, vision, files]",
        OPENAI % "auth: sigv4, base_url: 'https://vpc.example'" + ONE % "region: eu-west-1",
        "providers: {h: {vendor: host}}\ndeployments: {a: {provider: h, artifact: 'bundled:x'}}\nhost: {threads: 2}",
        "tenants: {acme: {}, default: {}}\nkeys: [{key: 'env:K', tenant: acme}]",
    ],
)
def test_setting_with_effect_is_no_warning(compile_text, text):
    assert compile_text(text.replace("FILE", __file__), environ={"K": "k"}).warnings == ()
