"""Secrets of calls: which values they are, and that log lines and tracebacks of a program do not show them."""

from __future__ import annotations

import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from runtara_sdk.agents import Secrets

PROGRAM = """
import logging
from runtara_sdk.agents.secrets import Secrets, keep_secrets_out_of_standard_error

keep_secrets_out_of_standard_error()
Secrets(["s3cret-value"])
logger = logging.getLogger("runtara.agents")
logger.warning("a token: %s", "s3cret-value")
try:
    raise ValueError("refused s3cret-value")
except ValueError:
    logger.exception("it failed")
raise RuntimeError("ended with s3cret-value")
"""


def test_logs_and_tracebacks_show_no_secret() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert "s3cret-value" not in done.stderr.replace('"s3cret-value"', "")  # but in the source that it quotes
    assert "a token: [redacted]" in done.stderr
    assert "ValueError: refused [redacted]" in done.stderr
    assert "RuntimeError: ended with [redacted]" in done.stderr


def test_which_parameters_are_secret() -> None:
    connection = {
        "parameters": {
            "host": "files.example",
            "username": "deploy",
            "password": "pass-word",
            "private_key": "-----BEGIN\nKEY",
            "headers": {"X-Shop": "not-declared", "Authorization": "Bearer abcd"},
            "declared": {"nested": ["deep-secret"]},
        }
    }
    secrets = Secrets.of_connection(connection, ["declared"])
    text = "files.example deploy not-declared pass-word -----BEGIN\\nKEY -----BEGIN\nKEY Bearer abcd deep-secret"
    assert secrets.redact(text) == "files.example deploy not-declared " + " ".join(["[redacted]"] * 5)
    assert not Secrets.of_connection(None)
    assert not Secrets.of_connection({"parameters": 1})


def test_short_values_are_left_alone() -> None:
    assert Secrets(["ab", ""]).redact("abab") == "abab"


@given(st.lists(st.text('XYZ"\\\n', min_size=4, max_size=8), min_size=1, max_size=5), st.text('abc"\\\n', max_size=10))
def test_no_value_is_left_in_json(values: list[str], rest: str) -> None:
    secrets = Secrets(values)
    for value in values:
        cleaned = secrets.redact_json({rest + value: [value + rest, {"a": rest + value + rest}]})
        texts = [next(iter(cleaned)), *(text for items in cleaned.values() for text in (items[0], items[1]["a"]))]
        assert not any(value in text for text in texts)
        assert value not in secrets.redact(json.dumps([rest + value]))
