"""The program of a child process that judges one input, and is bounded in memory and time meanwhile.

It reads a line of JSON `{schema, memory_bytes, cpu_seconds}`, then the input up to the end of standard input. It writes
`{"refused": null}`, or what the input is refused for: `{"refused": {message, violations?, violationCount?}}`.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from runtara_sdk.errors import InputRefusedError, InvalidInputError

from runtara_environment.inputs.judgement import require_acceptable


def main() -> None:
    """Judge what comes on standard input."""
    order = json.loads(sys.stdin.buffer.readline())
    for number, bound in (
        (resource.RLIMIT_AS, order["memory_bytes"]),
        (resource.RLIMIT_CPU, order["cpu_seconds"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(number, (bound, bound))
    # Where memory is short, the kernel takes this process and not a daemon.
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    json.dump({"refused": _refused(sys.stdin.buffer.read(), order["schema"])}, sys.stdout)


def _refused(text: bytes, schema_json: str | None) -> dict[str, Any] | None:
    try:
        require_acceptable(text, schema_json)
    except InputRefusedError as error:
        return {
            "message": error.message,
            "violations": list(error.violations),
            "violationCount": error.violation_count,
        }
    except InvalidInputError as error:
        return {"message": error.message}
    return None


if __name__ == "__main__":
    main()
