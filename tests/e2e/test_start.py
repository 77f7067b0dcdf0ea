"""What a run of an unchanged scenario does not load: each of these costs a tenth of its time or more."""

from __future__ import annotations

import json

_WRAPPER = """
import atexit, pathlib, sys
atexit.register(lambda: pathlib.Path({path!r}).write_text(" ".join(sys.modules)))
from runtara_sdk.cli.main import main
main()
"""

_ATTEMPTS = 4  # two, when nobody works on the sources meanwhile
NOT_NEEDED = {
    "aioquic",
    "asyncpg",
    "cryptography",
    "email",
    "google.protobuf.text_format",
    "httpx",
    "importlib.metadata",
    "jinja2",
    "pydantic",
    "qh3",
    "runtara_compiler.compilation",
    "runtara_sdk.transport.quic",
}


def test_the_second_run_loads_only_what_it_uses(product) -> None:
    scenario = product.write(
        "end.json", json.dumps({"name": "End", "steps": {"end": {"stepType": "Finish"}}, "entryPoint": "end"})
    )
    modules = product.directory / "modules.txt"
    program = product.write("run.py", _WRAPPER.format(path=str(modules)))
    for _ in range(_ATTEMPTS):
        finished = product.run("python", program, "run", scenario)
        assert finished.exit_code == 0, finished
        if "unchanged" in finished.stderr:
            break
    assert "unchanged" in finished.stderr, finished
    loaded = set(modules.read_text(encoding="utf-8").split())
    assert "runtara_environment.local" in loaded
    assert NOT_NEEDED & loaded == set()
