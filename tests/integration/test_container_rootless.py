"""Containers of a daemon that is not root: what is promised then, and what is said not to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.containers import container_runtime as container_runtime

USER = 54_321
PROGRAM = Path(__file__).with_name("rootless_programs.py")
_WAIT_SECONDS = 120

# In a mount namespace everybody may open the tunnel device, as on most hosts, and a closed directory on the way to this
# Python is replaced by one that lets others pass.
_AS_ON_OTHER_HOSTS = """
set -e
closed=$1 wanted=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755,dev tmpfs "$HOME/way"
mknod -m 666 "$HOME/way/tun" c 10 200
mount --bind "$HOME/way/tun" /dev/net/tun
if [ "$closed" != / ]; then
    mkdir "$HOME/way/python"
    mount --bind "$wanted" "$HOME/way/python"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    mkdir -p "$wanted"
    mount --bind "$HOME/way/python" "$wanted"
fi
exec setpriv --reuid=USER --regid=USER --clear-groups --bounding-set=-all "$@"
""".replace("USER", str(USER))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of an ordinary user."""
    path = tmp_path_factory.mktemp("home")
    for each in (path, *path.parents):
        if each.owner() == "root" and each != Path("/") and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o011)
    (path / "way").mkdir()
    os.chown(path, USER, USER)
    return path


def as_ordinary_user(home: Path, *argv: str, **variables: str) -> dict[str, Any]:
    """What a program prints that runs as `USER`, without any right of root."""
    wanted = Path(sys.base_prefix)
    closed = next((each for each in reversed(wanted.parents) if not each.stat().st_mode & 0o001), Path("/"))
    command = ("unshare", "--mount", "sh", "-c", _AS_ON_OTHER_HOSTS, "sh", str(closed), str(wanted), *argv)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_WAIT_SECONDS, check=False)
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_containers_of_an_ordinary_user(home: Path, container_runtime: str) -> None:
    report = as_ordinary_user(home, sys.executable, str(PROGRAM), str(home), RUNTARA_OCI_RUNTIME=container_runtime)
    probe = report["probe"]
    assert probe["available"], probe["reason"]
    assert probe["isolation"].startswith(f"container without bounds, as user {USER} of the host, runc ")
    unbounded = {"memory_limit", "cpu_limit", "process_limit"}
    for name in unbounded:
        assert probe["capabilities"][name] == {
            "available": False,
            "reason": "a daemon that is not root has no control groups",
        }
    assert (report["look"]["exit_code"], report["errors"]) == (0, "")
    assert report["look"]["memory_peak_bytes"] > 0
    found = report["found"]
    assert {int(found["status"][name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert (found["status"]["NoNewPrivs"], found["status"]["Seccomp"]) == ("1", "2")
    assert found["readable"] == []
    assert found["writable"] == ["made", "/tmp/made"]
    assert found["processes"] <= 2
    assert found["interfaces"] == ["lo"]
    assert report["used_after_the_end"] == 0  # while it computed, it was seen to
    assert report["stopped"]["exit_code"] == -15
    assert report["killed"]["exit_code"] in (None, -9)
    assert "bounds of memory, processor or processes" in report["refused"]
    assert probe["capabilities"]["network_pasta"] == {"available": True, "reason": ""}
    assert report["translated"] == {"interfaces": ["eth0", "lo"], "metadata": False, "rights": 0}
    assert report["left"] == []
