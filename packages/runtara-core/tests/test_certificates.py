"""The local authority: made once, server certificates renewed, the authority itself replaced in three steps."""

from __future__ import annotations

import datetime
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from runtara_core import certificate_authority, certificates
from runtara_core.certificate_files import RotationStep
from runtara_core.certificates import ensure_certificates, rotate_authority
from runtara_core.server_identity import IdentitySource, given_identity
from runtara_sdk.errors import ConfigurationError, InvalidStateError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.transport import TlsIdentity


def server_certificate(data_dir: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((data_dir / "tls" / "server.pem").read_bytes())


def trusts(bundle: bytes, certificate: x509.Certificate, name: str = "localhost") -> bool:
    store = Store(x509.load_pem_x509_certificates(bundle))
    try:
        PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name)).verify(certificate, [])
    except VerificationError:
        return False
    return True


def test_keys_are_private(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes["ca-key.pem"] == modes["server-key.pem"] == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_server_certificate_is_kept_while_it_is_good(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    before = server_certificate(tmp_path)
    ensure_certificates(tmp_path)
    assert server_certificate(tmp_path) == before


def test_server_certificate_is_renewed_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_authority, "_SERVER_DAYS", 29)
    paths = ensure_certificates(tmp_path)
    before, authority = server_certificate(tmp_path), paths.ca_path.read_bytes()
    monkeypatch.undo()
    ensure_certificates(tmp_path)
    after = server_certificate(tmp_path)
    assert after.not_valid_after_utc - before.not_valid_after_utc > datetime.timedelta(days=300)
    # Clients that pinned the authority notice nothing.
    assert paths.ca_path.read_bytes() == authority
    assert trusts(authority, after)


def test_what_is_known_to_be_good_is_not_read_again(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, ["core.example.org"])
    code = (
        "import sys; from pathlib import Path; from runtara_core.server_identity import IdentitySource; "
        "IdentitySource(Path(sys.argv[1]), ('core.example.org',)).load(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert not {"cryptography", "runtara_core.certificate_authority"} & set(done.stdout.split())


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"names": [], "renew_at": 9e9, "fingerprint": ""}'])
def test_a_record_that_says_nothing_only_costs_time(tmp_path: Path, record: str) -> None:
    ensure_certificates(tmp_path)
    before, kept = server_certificate(tmp_path), (tmp_path / "tls" / "current.json").read_text()
    (tmp_path / "tls" / "current.json").write_text(record)
    ensure_certificates(tmp_path)
    assert server_certificate(tmp_path) == before
    assert (tmp_path / "tls" / "current.json").read_text() == kept


def test_files_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path / "one")
    other = ensure_certificates(tmp_path / "other")
    for path in (paths.certificate_path, paths.private_key_path):
        path.write_bytes((other.ca_path.parent / path.name).read_bytes())
    ensure_certificates(tmp_path / "one")
    assert trusts(paths.ca_path.read_bytes(), server_certificate(tmp_path / "one"))
    paths.private_key_path.unlink()
    ensure_certificates(tmp_path / "one")
    assert paths.private_key_path.exists()


def test_a_certificate_is_renewed_when_its_time_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_certificates(tmp_path)
    before = server_certificate(tmp_path)
    due = before.not_valid_after_utc.timestamp() - 30 * 86_400
    looked_at = []
    monkeypatch.setattr(certificate_authority, "ensure", lambda *given: looked_at.append(given))
    monkeypatch.setattr(certificates, "_remember", lambda *_: None)
    monkeypatch.setattr(time, "time", lambda: due - 60)
    ensure_certificates(tmp_path)
    assert not looked_at
    monkeypatch.setattr(time, "time", lambda: due + 60)
    ensure_certificates(tmp_path)
    assert looked_at


def test_a_new_name_renews_the_server_certificate(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    paths = ensure_certificates(tmp_path, ["core.example.org"])
    assert trusts(paths.ca_path.read_bytes(), server_certificate(tmp_path), "core.example.org")


def test_authority_is_replaced_without_a_moment_of_distrust(tmp_path: Path) -> None:
    ca_path = ensure_certificates(tmp_path).ca_path
    original, first = ca_path.read_bytes(), server_certificate(tmp_path)

    rotate_authority(tmp_path, RotationStep.PREPARE)
    ensure_certificates(tmp_path)
    prepared = ca_path.read_bytes()
    assert server_certificate(tmp_path) == first
    assert trusts(original, first)
    assert trusts(prepared, first)

    rotate_authority(tmp_path, RotationStep.SWITCH)
    ensure_certificates(tmp_path)
    second = server_certificate(tmp_path)
    assert second != first
    assert trusts(prepared, second)
    assert not trusts(original, second)
    assert ca_path.read_bytes() == prepared

    rotate_authority(tmp_path, RotationStep.FINISH)
    ensure_certificates(tmp_path)
    finished = ca_path.read_bytes()
    assert server_certificate(tmp_path) == second
    assert trusts(finished, second)
    assert not trusts(finished, first)
    assert sorted(path.name for path in ca_path.parent.glob("*key.pem")) == ["ca-key.pem", "server-key.pem"]


def test_steps_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidStateError, match="start a daemon"):
        rotate_authority(tmp_path, RotationStep.PREPARE)
    ensure_certificates(tmp_path)
    order = list(RotationStep)
    for expected in order:
        for step in order:
            if step is not expected:
                with pytest.raises(InvalidStateError, match=f"the next step is {expected}"):
                    rotate_authority(tmp_path, step)
        rotate_authority(tmp_path, expected)


def test_given_certificate_is_used_as_it_is(tmp_path: Path) -> None:
    _, identity = make_test_authority(tmp_path / "given")
    given = given_identity(
        EnvironmentReader(
            {
                "RUNTARA_TLS_CERT_FILE": str(identity.certificate_path),
                "RUNTARA_TLS_KEY_FILE": str(identity.private_key_path),
            }
        )
    )
    loaded = IdentitySource(tmp_path / "data", given=given).load()
    assert loaded.tls == identity
    assert loaded.ca_path is None
    assert not (tmp_path / "data").exists()


def test_unusable_given_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="RUNTARA_TLS_KEY_FILE is not set"):
        given_identity(EnvironmentReader({"RUNTARA_TLS_CERT_FILE": "server.pem"}))
    _, one = make_test_authority(tmp_path / "one")
    _, two = make_test_authority(tmp_path / "two")
    text = tmp_path / "text.pem"
    text.write_text("nothing")
    for certificate, key, message in (
        (one.certificate_path, two.private_key_path, "is not the certificate of the key"),
        (text, one.private_key_path, "not PEM files"),
        (one.certificate_path, text, "not PEM files"),
        (tmp_path / "missing.pem", one.private_key_path, "cannot read"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            IdentitySource(tmp_path, given=TlsIdentity(certificate, key)).load()
