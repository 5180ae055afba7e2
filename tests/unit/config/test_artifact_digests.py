"""The digest of an artifact in the configuration."""

import pytest

DIGEST = "ab" * 32


@pytest.mark.parametrize("text", [DIGEST, DIGEST.upper(), f"sha256:{DIGEST}"])
def test_digest_is_read_in_the_usual_forms(compile_text, text):
    runtime = compile_text(
        "providers: {local: {vendor: host}}\n"
        f"deployments: {{own: {{provider: local, artifact: /w/x.gguf, artifact_sha256: '{text}'}}}}\n"
    )
    assert runtime.deployments["own"].artifact_sha256 == DIGEST


def test_the_context_of_a_local_model_is_the_hosts_unless_it_has_its_own(compile_text):
    runtime = compile_text(
        "providers: {local: {vendor: host}}\nhost: {context_tokens: 2048}\ndeployments:\n"
        "  one: {provider: local, artifact: /w/x.gguf}\n"
        "  two: {provider: local, artifact: /w/x.gguf, context_tokens: 512}\n"
    )
    assert [runtime.deployments[name].context_tokens for name in ("one", "two")] == [2048, 512]


@pytest.mark.parametrize(
    ("deployment", "message", "hint"),
    [
        (
            f"{{provider: magic, model: echo, artifact_sha256: {DIGEST}}}",
            "Only deployments with an `artifact` can have its SHA-256.",
            "Remove this setting.",
        ),
        (
            "{provider: local, artifact: x, artifact_sha256: 0abc}",
            "A SHA-256 digest must have 64 hexadecimal digits.",
            "sha256sum FILE",
        ),
    ],
)
def test_digest_that_cannot_be_used_is_a_problem(compile_problems, deployment, message, hint):
    text = f"providers: {{magic: {{vendor: fake}}, local: {{vendor: host}}}}\ndeployments:\n  d: {deployment}\n"
    (problem,) = compile_problems(text)
    assert problem.path == "deployments.d.artifact_sha256"
    assert message in problem.message
    assert hint in problem.hint
