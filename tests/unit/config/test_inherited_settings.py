"""Settings of providers that deployments inherit or override, and the ports that the environment sets."""

import pytest

from intellirouter.catalog import Catalog


class NoPrices:
    def lookup(self, price_provider, model):
        del price_provider, model


REGIONAL = "providers: {r: {vendor: regional, credentials: [], region: eu-west-1}}\n"


def test_deployment_calls_the_endpoint_of_its_own_region(compile_text, vendors):
    runtime = compile_text(
        f"{REGIONAL}deployments: {{a: {{provider: r, model: m, region: us-east-1}}, b: {{provider: r, model: m}}}}"
    )
    assert runtime.warnings == ()
    deployments = Catalog(runtime, vendors, NoPrices()).deployments
    assert deployments["a"].address.base_url == "https://models.us-east-1.example"
    assert deployments["b"].address.base_url == "https://models.eu-west-1.example"
    assert (deployments["a"].region, deployments["b"].region) == ("us-east-1", "eu-west-1")


@pytest.mark.parametrize("region", ["EU", "eu.evil.example/", "-x"])
def test_region_of_a_deployment_becomes_part_of_a_host_name(compile_problems, region):
    (problem,) = compile_problems(f'{REGIONAL}deployments: {{a: {{provider: r, model: m, region: "{region}"}}}}')
    assert problem.path == "deployments.a.region"
    assert problem.message == f"`{region}` is not the name of a region."


def test_retries_of_a_provider_apply_to_its_wildcard(compile_text, vendors):
    runtime = compile_text('providers: {o: {vendor: openai, credentials: [], models: "*", retries: 7}}')
    resolved = Catalog(runtime, vendors, NoPrices()).resolve("o/any")
    assert resolved is not None
    assert resolved.retries == 7


OLLAMA = "providers: {o: {vendor: ollama}}\n"


def test_port_of_ollama_applies_to_a_provider_without_a_url(compile_text):
    runtime = compile_text(OLLAMA, environ={"RESOURCE_PORTS_OLLAMA": "5555"})
    assert runtime.providers["o"].base_url == "http://127.0.0.1:5555/v1"
    assert runtime.warnings == ()


@pytest.mark.parametrize(
    "text", ["providers: {f: {vendor: fake}}", 'providers: {o: {vendor: ollama, base_url: "http://127.0.0.1:1/v1"}}']
)
def test_port_of_ollama_that_no_provider_uses_is_a_warning(compile_text, text):
    (warning,) = compile_text(text, environ={"RESOURCE_PORTS_OLLAMA": "5555"}).warnings
    assert warning == (
        "RESOURCE_PORTS_OLLAMA: No provider of the vendor `ollama` uses the port 5555, so this variable has no effect."
    )


def test_invalid_port_of_ollama_is_a_problem(compile_problems):
    (problem,) = compile_problems(OLLAMA, environ={"RESOURCE_PORTS_OLLAMA": "many"})
    assert problem.message == "RESOURCE_PORTS_OLLAMA must be a port number from 1 to 65535."
    assert problem.origin == "env RESOURCE_PORTS_OLLAMA"
