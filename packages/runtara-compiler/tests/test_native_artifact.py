"""Native artifacts over a stand-in base made of a shell script: the file itself, and what its own script does."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from runtara_compiler.native.artifact import write_artifact
from runtara_compiler.native.layers import write_layer
from runtara_sdk.artifact import inspect_artifact, unpack_native_artifact

BASE_SCRIPT = """\
#!/bin/sh
directory=$1
shift
cat "$directory/greeting"
for argument; do printf '<%s>' "$argument"; done
exit 7
"""


def make_layers(directory: Path, greeting: str = "hello"):
    base = directory / "base"
    base.mkdir(parents=True)
    (base / "runtara-base").write_text(BASE_SCRIPT)
    (base / "runtara-base").chmod(0o755)
    (base / "system").mkdir()
    (base / "system" / "libc.so.6").write_bytes(os.urandom(3_000_000))
    workflow = directory / "workflow"
    workflow.mkdir()
    (workflow / "greeting").write_text(greeting)
    return (
        write_layer(workflow, directory / "workflow.tar.gz", level=9),
        write_layer(base, directory / "base.tar.gz", level=1),
    )


@pytest.fixture
def artifact(tmp_path):
    workflow, base = make_layers(tmp_path / "layers")
    return write_artifact(tmp_path / "artifact", {"name": "it's"}, workflow=workflow, base=base)


def run(path, *arguments, **variables):
    environment = {"PATH": os.environ["PATH"], **{name: str(value) for name, value in variables.items()}}
    return subprocess.run([path, *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_artifact_is_read_back(artifact, tmp_path):
    info = inspect_artifact(artifact)
    assert info.kind == "native"
    assert info.manifest == {"name": "it's"}
    layout = unpack_native_artifact(artifact, tmp_path / "unpacked")
    answer = run(*layout.command)
    assert (answer.returncode, answer.stdout) == (7, "hello")


def test_artifact_starts_itself_and_unpacks_once(artifact, tmp_path):
    cache = tmp_path / "a cache"
    first = run(artifact, "one argument", "two", RUNTARA_NATIVE_CACHE_DIR=cache)
    assert (first.returncode, first.stdout, first.stderr) == (7, "hello<one argument><two>", "")
    unpacked = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(unpacked) == 2
    assert run(artifact, RUNTARA_NATIVE_CACHE_DIR=cache).returncode == 7
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == unpacked


def test_script_and_reader_share_the_unpacked_layers(artifact, tmp_path):
    layout = unpack_native_artifact(artifact, tmp_path / "cache")
    (layout.workflow_directory / "greeting").write_text("same place")
    assert run(artifact, RUNTARA_NATIVE_CACHE_DIR=tmp_path / "cache").stdout == "same place"


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"RUNTARA_NATIVE_LIBRARY_DIR": "library"}, "library/layers"),
        ({"XDG_CACHE_HOME": "xdg", "HOME": "home"}, "xdg/runtara/layers"),
        ({"HOME": "home"}, "home/.cache/runtara/layers"),
    ],
)
def test_place_of_the_cache(artifact, tmp_path, variables, place):
    answer = run(artifact, **{name: tmp_path / value for name, value in variables.items()})
    assert answer.returncode == 7
    assert len(list((tmp_path / place).iterdir())) == 2


def test_no_place_to_unpack_to_is_said(artifact):
    answer = run(artifact)
    assert answer.returncode == 126
    assert "RUNTARA_NATIVE_CACHE_DIR" in answer.stderr


async def test_parallel_first_starts_leave_one_copy(artifact, tmp_path):
    async def start():
        process = await asyncio.create_subprocess_exec(
            artifact,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "RUNTARA_NATIVE_CACHE_DIR": str(tmp_path / "cache")},
        )
        async with asyncio.timeout(60):
            return process, await process.communicate()

    for process, (output, errors) in await asyncio.gather(*(start() for _ in range(6))):
        assert (process.returncode, output, errors) == (7, b"hello", b"")
    directories = sorted((tmp_path / "cache").iterdir())
    assert len(directories) == 2
    assert not list((tmp_path / "cache").rglob(".unpacking-*"))


def test_damaged_artifact_is_refused_by_its_own_script(artifact, tmp_path):
    content = bytearray(artifact.read_bytes())
    content[-100] ^= 0xFF
    artifact.write_bytes(content)
    answer = run(artifact, RUNTARA_NATIVE_CACHE_DIR=tmp_path / "cache")
    assert answer.returncode == 126
    assert "is damaged" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert list((tmp_path / "cache").iterdir()) == []


def test_unwritable_cache_is_said(artifact, tmp_path):
    (tmp_path / "file").write_text("")
    answer = run(artifact, RUNTARA_NATIVE_CACHE_DIR=tmp_path / "file" / "cache")
    assert answer.returncode == 126
    assert "cannot write" in answer.stderr


def test_same_content_gives_the_same_bytes(tmp_path):
    files = []
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "b").write_text("b" * 3_000_000)
        (directory / "a").write_text("a")
        os.utime(directory / "a", (len(files) * 1000, len(files) * 1000))
        files.append(write_layer(directory, tmp_path / f"{name}.tar.gz", level=9))
    assert files[0].digest == files[1].digest
    assert files[0].path.read_bytes() == files[1].path.read_bytes()
