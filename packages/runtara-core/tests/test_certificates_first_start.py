"""Several daemons of one data directory make their certificates at the same moment; broken files are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from runtara_core.certificates import ensure_certificates
from runtara_sdk.errors import ConfigurationError

DEADLINE_SECONDS = 60
_START = """
import sys
from pathlib import Path
from runtara_core.certificates import ensure_certificates
sys.stdin.readline()
made = ensure_certificates(Path(sys.argv[1]), ["daemon.example"])
print(made.certificate_path.read_bytes().hex(), made.ca_path.read_bytes().hex())
"""


def test_parallel_first_start(tmp_path: Path) -> None:
    daemons = [
        subprocess.Popen(
            [sys.executable, "-c", _START, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for daemon in daemons:  # all are ready before the first goes
        assert daemon.stdin is not None
        daemon.stdin.write("go\n")
        daemon.stdin.flush()
    answers = [daemon.communicate(timeout=DEADLINE_SECONDS)[0].split() for daemon in daemons]
    assert len({tuple(answer) for answer in answers}) == 1
    server, authority = (x509.load_pem_x509_certificate(bytes.fromhex(part)) for part in answers[0])
    server.verify_directly_issued_by(authority)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path)
    made.certificate_path.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="tls"):
        ensure_certificates(tmp_path)


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        ensure_certificates(tmp_path)
