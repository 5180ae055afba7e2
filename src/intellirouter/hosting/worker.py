"""A worker process: one model, the llama.cpp engine, one unix socket.

Started as `python -I worker.py`, on its own: it imports nothing of ours, so that it starts fast and holds no secrets.

Protocol. stdin: one line of JSON (the fields of `WorkerConfig` in `process.py`), then it stays open for as long as
the worker shall live; end of file ends the worker, so none outlives its host, however that one died. stdout: `READY`
and a JSON object, or `FAILED` and a JSON object with `kind` (`engine`, `model`) and `message`; nothing else. stderr:
free text for people. SIGTERM ends it at once: the host has drained it before.
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
"""Each open connection holds one; a burst beyond them delays everything, health checks too. Idle ones cost nothing."""


def main() -> int:
    protocol = _own_stdout()
    config = json.loads(sys.stdin.buffer.readline())
    _restrict(config["host_pid"])
    began = time.monotonic()
    try:
        import xllamacpp  # noqa: PLC0415 - an optional extra; its absence is an answer, not a crash
    except ImportError as error:
        return _fail(protocol, "engine", f"the engine xllamacpp does not load: {error}")
    imported = time.monotonic()
    try:
        server = xllamacpp.Server(_engine_params(xllamacpp, config))
    except (RuntimeError, ValueError, MemoryError) as error:
        return _fail(protocol, "model", str(error))
    timing = {"import_ms": (imported - began) * 1000, "load_ms": (time.monotonic() - imported) * 1000}
    _say(protocol, "READY", {"pid": os.getpid(), **timing})
    while os.read(0, 4096):
        pass  # only the end of stdin means something
    del server
    return 0


def _own_stdout() -> IO[str]:
    """Keep stdout for the protocol: whatever else prints to it goes to stderr from here on."""
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return protocol


def _say(protocol: IO[str], word: str, facts: dict[str, Any]) -> None:
    protocol.write(f"{word} {json.dumps(facts)}\n")
    protocol.flush()


def _fail(protocol: IO[str], kind: str, message: str) -> int:
    _say(protocol, "FAILED", {"kind": kind, "message": message})
    return 1


def _restrict(host_pid: int) -> None:
    """Give up what a worker never needs. Belt to the braces of stdin: the kernel ends us when the host dies."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != host_pid:
        sys.exit("the host is gone")  # it died before the kernel was told


def _engine_params(engine: Any, config: dict[str, Any]) -> Any:
    """llama.cpp's server parameters. The defaults suit one user at a desk; DESIGN.md says why each is changed."""
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
