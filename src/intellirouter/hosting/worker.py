"""A worker process: one model, the llama.cpp engine, one unix socket.

Started as `python -I worker.py`. It imports no other module of the gateway, so that it starts fast and has no secrets.

Protocol. stdin: one line of JSON (the fields of `WorkerConfig` in `process.py`), then it stays open while the worker is
to run. End of file ends the worker, so that it never outlives its host. stdout: `READY` and a JSON object, or `FAILED`
and a JSON object with `kind` (`engine` or `model`) and `message`; nothing else. stderr: text for people. SIGTERM ends
the worker at once: the host has drained its requests before.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import IO, Any

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
HTTP_THREADS = 256
"""Each open connection uses a thread. More connections than threads delay everything, including health checks."""


def main() -> int:
    protocol = _own_stdout()
    config = json.loads(sys.stdin.buffer.readline())
    _restrict(config["host_pid"])
    began = time.monotonic()
    try:
        import xllamacpp  # noqa: PLC0415 - an optional extra whose absence is reported to the host
    except ImportError as error:
        return _fail(protocol, "engine", f"The engine xllamacpp cannot be imported: {error}.")
    imported = time.monotonic()
    try:
        server = xllamacpp.Server(_engine_params(xllamacpp, config))
    except (RuntimeError, ValueError, MemoryError) as error:
        return _fail(protocol, "model", str(error))
    timing = {"import_ms": (imported - began) * 1000, "load_ms": (time.monotonic() - imported) * 1000}
    _write_message(protocol, "READY", {"pid": os.getpid(), **timing})
    while os.read(0, 4096):
        pass  # only the end of stdin matters
    del server
    return 0


def _own_stdout() -> IO[str]:
    """Reserve stdout for the protocol: everything else that prints to it goes to stderr from here on."""
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return protocol


def _write_message(protocol: IO[str], word: str, facts: dict[str, Any]) -> None:
    protocol.write(f"{word} {json.dumps(facts)}\n")
    protocol.flush()


def _fail(protocol: IO[str], kind: str, message: str) -> int:
    _write_message(protocol, "FAILED", {"kind": kind, "message": message})
    return 1


def _restrict(host_pid: int) -> None:
    """Drop privileges that a worker never needs, and let the kernel end the worker when the host dies."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != host_pid:
        sys.exit("The host process has ended.")  # it died before prctl was called


def _engine_params(engine: Any, config: dict[str, Any]) -> Any:
    """Return the llama.cpp server parameters. DESIGN.md says why each differs from its default."""
    params = engine.CommonParams()
    params.model.path = config["model_path"]
    params.model_alias = {config["alias"]}
    params.hostnames = [config["socket_path"]]
    params.n_ctx = config["ctx_tokens"]
    params.n_parallel = config["slots"]
    params.kv_unified = True
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    params.n_threads_http = HTTP_THREADS
    params.fit_params = False
    params.warmup = False
    params.cache_ram_mib = config["cache_ram_mib"]
    params.offline = True
    params.ui = False
    params.cors_origins = ""
    params.endpoint_metrics = True
    params.verbosity = 1
    if config["has_embeddings"]:
        params.embedding = True
        params.pooling_type = engine.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return params


if __name__ == "__main__":
    sys.exit(main())
