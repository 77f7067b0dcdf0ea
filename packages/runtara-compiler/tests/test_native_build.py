"""What surrounds a native build: locks and placement, deadlines, the object cache, options, and clear refusals."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runtara_compiler.native import toolchain as toolchain_module
from runtara_compiler.native.bytecode import compile_tree
from runtara_compiler.native.inclusion import stdlib_left_out, trim_packages
from runtara_compiler.native.interpreter import copy_standard_library
from runtara_compiler.native.library import NativeBuildError, NativeLibrary, translated_disk_errors
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.shared_libraries import copy_system_libraries
from runtara_compiler.native.toolchain import CCompiler, Toolchain, find_c_compiler, prune_objects
from runtara_compiler.service import Compiler
from runtara_compiler.targets import AgentPin, BuildRequest
from runtara_compiler.targets.native import NativeTarget, runtara_build_targets
from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.settings import EnvironmentReader


@pytest.fixture
def library(tmp_path):
    return NativeLibrary(tmp_path / "library")


def test_library_directory_is_the_variable_then_the_data_directory(tmp_path):
    named = EnvironmentReader({"RUNTARA_NATIVE_LIBRARY_DIR": "/named", "DATA_DIR": "/data"})
    assert NativeLibrary.from_environment(tmp_path, named).directory == Path("/named")
    assert NativeLibrary.from_environment(tmp_path, EnvironmentReader({})).directory == tmp_path / "native"
    data = EnvironmentReader({"DATA_DIR": "/data"})
    assert NativeLibrary.from_environment(None, data).directory == Path("/data/native")


async def test_lock_is_exclusive_and_has_a_deadline(library):
    async with library.lock("base", deadline_seconds=5) as waited:
        assert not waited
        with pytest.raises(NativeBuildError, match="another build"):
            async with library.lock("base", deadline_seconds=0.05):
                pass
    async with library.lock("base", deadline_seconds=5):
        pass


async def test_lock_of_a_killed_process_is_free(library):
    async with library.lock("base", deadline_seconds=5):
        path = library.directory / "locks" / "base.lock"
    code = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readline()
        process.kill()
        await process.wait()
    async with library.lock("base", deadline_seconds=5):
        pass


def test_construction_sweeps_what_a_killed_build_left(library):
    leftover = library.directory / "building" / "base-1-abandoned"
    leftover.mkdir(parents=True)
    other = library.directory / "building" / "base-2-running"
    other.mkdir()
    with library.construction("base-1") as directory:
        assert not leftover.exists()
        assert other.exists()
        (directory / "entry").mkdir()
        (directory / "entry" / "file").write_text("new")
        target = library.entry("bases", "1")
        target.mkdir(parents=True)
        (target / "file").write_text("old")
        library.place(directory / "entry", target)
    assert (target / "file").read_text() == "new"
    assert [path.name for path in (library.directory / "building").iterdir()] == ["base-2-running"]


def test_full_disk_and_missing_rights_name_the_remedy(tmp_path):
    with (
        pytest.raises(NativeBuildError, match=r"no space left.*RUNTARA_NATIVE_LIBRARY_DIR"),
        translated_disk_errors(tmp_path),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ConfigurationError, match="RUNTARA_NATIVE_LIBRARY_DIR"), translated_disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def tool(script: str, tmp_path: Path, **options):
    settings = {"what": "the tool", "deadline_seconds": 30.0, "variables": {"PATH": os.environ["PATH"]}} | options
    return run_tool(["sh", "-c", script], directory=tmp_path, log=tmp_path / "log", **settings)


async def test_failing_tool_gives_its_telling_line(tmp_path):
    with pytest.raises(NativeBuildError, match=r"the tool failed \(exit status 3\): x.c:1: error: bad") as caught:
        await tool("echo start; echo 'x.c:1: error: bad'; echo end; exit 3", tmp_path)
    assert "\n" not in caught.value.message


async def test_full_disk_of_a_tool_is_recognized(tmp_path):
    with pytest.raises(NativeBuildError, match="no space left"):
        await tool("echo 'cc1: fatal error: out.o: No space left on device'; exit 1", tmp_path)


async def test_absent_tool_is_named(tmp_path):
    with pytest.raises(NativeBuildError, match="cannot be started: /absent/tool"):
        await run_tool(
            ["/absent/tool"],
            what="the tool",
            directory=tmp_path,
            variables={},
            log=tmp_path / "log",
            deadline_seconds=5,
        )


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def until(condition, seconds: float = 60.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["cancel", "deadline"])
async def test_the_whole_group_dies(tmp_path, way):
    pid_file = tmp_path / "pid"
    script = f"sleep 300 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"
    running = asyncio.create_task(tool(script, tmp_path, deadline_seconds=4.0 if way == "deadline" else 60.0))
    await until(pid_file.exists)
    if way == "cancel":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        with pytest.raises(NativeBuildError, match="did not finish within 4 seconds"):
            await running
    child = int(pid_file.read_text())
    await until(lambda: not is_alive(child))


@pytest.fixture
def counting_compiler(tmp_path):
    """A C compiler that notes each call and writes the unit's text as the object."""
    directory = tmp_path / "bin"
    directory.mkdir()
    script = directory / "gcc"
    script.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "gcc (test) 1.0"; exit 0; fi\n'
        f'echo "$@" >> {tmp_path}/calls\n'
        "out=; unit=; previous=\n"
        'for a; do [ "$previous" = -o ] && out=$a; case $a in *.c) unit=$a ;; esac; previous=$a; done\n'
        '[ -n "$unit" ] || exit 0\ngrep -q BROKEN "$unit" && exit 4\ncp "$unit" "$out"\n'
    )
    script.chmod(0o755)
    return script


async def compile_through(library, compiler, source_directory, *arguments):
    family = CCompiler("gcc", compiler, "test")
    target = library.entry("toolchains", "key")
    if not target.exists():
        toolchain_module._build_toolchain(library, "key", target, family)
    variables = Toolchain(target).variables()
    process = await asyncio.create_subprocess_exec(variables["CC"], *arguments, cwd=source_directory, env=variables)
    async with asyncio.timeout(60):
        return await process.wait()


async def test_objects_are_kept_by_content(library, counting_compiler, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "unit.c").write_text("one")
    (source / "settings.h").write_text("h1")
    calls = tmp_path / "calls"
    arguments = ("-o", "unit.o", "-c", "-O1", "unit.c")

    async def compile_again() -> int:
        (source / "unit.o").unlink(missing_ok=True)
        assert await compile_through(library, counting_compiler, source, *arguments) == 0
        assert (source / "unit.o").read_text() == (source / "unit.c").read_text()
        return len(calls.read_text().splitlines())

    assert await compile_again() == 1
    assert await compile_again() == 1
    (source / "settings.h").write_text("h2")
    assert await compile_again() == 2
    (source / "unit.c").write_text("two")
    assert await compile_again() == 3
    (source / "settings.h").write_text("h1")
    (source / "unit.c").write_text("one")
    assert await compile_again() == 3


async def test_failures_blobs_and_links_are_not_kept(library, counting_compiler, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "bad.c").write_text("BROKEN")
    (source / "__constants_data_x.c").write_text("blob")
    for _ in range(2):
        assert await compile_through(library, counting_compiler, source, "-o", "bad.o", "-c", "bad.c") == 4
        blob = ("-o", "x.o", "-c", "__constants_data_x.c")
        assert await compile_through(library, counting_compiler, source, *blob) == 0
        assert await compile_through(library, counting_compiler, source, "-o", "program", "x.o") == 0
    assert len((tmp_path / "calls").read_text().splitlines()) == 6
    objects = library.entry("toolchains", "key") / "objects"
    assert list(objects.iterdir()) == []
    (objects / "old.o").write_text("")
    os.utime(objects / "old.o", (0, 0))
    (objects / "new.o").write_text("")
    prune_objects(Toolchain(objects.parent))
    assert [path.name for path in objects.iterdir()] == ["new.o"]


async def test_system_libraries_come_with_their_loader(tmp_path):
    distribution = tmp_path / "distribution"
    distribution.mkdir()
    shutil.copy(shutil.which("gzip") or "/bin/gzip", distribution / "program")
    (distribution / "data").write_text("no program")
    await copy_system_libraries(distribution, distribution / "system")
    copied = {path.name for path in (distribution / "system").rglob("*") if path.is_file()}
    assert "libc.so.6" in copied
    assert any(name.startswith("ld-linux") for name in copied)


def test_missing_c_compiler_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ConfigurationError, match=r"no C compiler found: install gcc .* or build for the target python"):
        find_c_compiler()
    assert Compiler().missing("native") == NativeTarget().missing()
    assert "no C compiler found" in (NativeTarget().missing() or "")
    assert Compiler().missing("python") is None


def test_named_c_compiler_is_taken(monkeypatch, counting_compiler):
    monkeypatch.setenv("CC", str(counting_compiler))
    assert find_c_compiler() == CCompiler("gcc", counting_compiler, "gcc (test) 1.0")


def test_stdlib_modules_stay_out_unless_somebody_imports_them(tmp_path):
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "mail.py").write_text("def send():\n    import smtplib\n")
    left_out = stdlib_left_out(tmp_path)
    assert "imaplib" in left_out
    assert "smtplib" not in left_out
    assert "json" not in left_out
    copy_standard_library(tmp_path / "lib", left_out)
    assert (tmp_path / "lib" / "smtplib.py").is_file()
    assert (tmp_path / "lib" / "encodings" / "utf_8.py").is_file()
    for name in ("imaplib.py", "tkinter", "test", "site-packages"):
        assert not (tmp_path / "lib" / name).exists()
    assert not [path for path in (tmp_path / "lib").rglob("*.so") if path.name.startswith(("_test", "_tkinter"))]


def test_packages_are_trimmed_to_what_runs(tmp_path):
    for name in ("runtara_sdk/cli/main.py", "runtara_sdk/instance.py", "library/tests/test_it.py", "library/fast.pyx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    trim_packages(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        "runtara_sdk/instance.py"
    ]


async def test_bytecode_replaces_sources_and_is_the_same_each_time(tmp_path):
    digests = []
    for place in ("one", "two"):
        tree = tmp_path / place / "packages"
        tree.mkdir(parents=True)
        (tree / "module.py").write_text("NAMES = {'a', 'b', 'c'}\n\ndef fail():\n    raise ValueError('no')\n")
        (tree / "template.py").write_text("{{ not python }} (\n")
        await compile_tree(tree, tmp_path)
        assert sorted(path.name for path in tree.iterdir()) == ["module.pyc", "template.py"]
        digests.append((tree / "module.pyc").read_bytes())
    assert digests[0] == digests[1]
    code = "import module; print(module.fail.__code__.co_filename)"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "one" / "packages", capture_output=True, text=True, check=True
    )
    assert told.stdout == "packages/module.py\n"


def request_for(tmp_path, **changes):
    values = {
        "module_source": "workflow = None\n",
        "module_name": "workflow",
        "manifest": {},
        "agents": (),
        "work_dir": tmp_path,
        "progress": lambda line: None,
        "data_dir": tmp_path / "data",
    }
    return BuildRequest(**(values | changes))


async def test_agent_outside_of_any_distribution_is_refused(tmp_path):
    pin = AgentPin(agent_id="mine", module="my_agent", attribute="agent")
    with pytest.raises(ConfigurationError, match=r"mine .*install its distribution or build for the target python"):
        await NativeTarget().build(request_for(tmp_path, agents=(pin,)))


def test_a_directory_under_two_names_has_one_compiler(monkeypatch, counting_compiler, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "also").symlink_to(counting_compiler.parent)
    for directory in (counting_compiler.parent, tmp_path / "also"):
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin")
        assert find_c_compiler().path == counting_compiler.resolve()


async def test_no_compiler_leaves_nothing_behind(tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("RUNTARA_NATIVE_LIBRARY_DIR", raising=False)
    with pytest.raises(ConfigurationError, match="no C compiler"):
        await NativeTarget().build(request_for(tmp_path))
    assert not (tmp_path / "data").exists()


def test_the_target_is_contributed_under_its_name():
    (target,) = runtara_build_targets()
    assert target.name == "native"
    assert target.fingerprint() == target.fingerprint()


async def test_module_names_are_identifiers(library, tmp_path):
    from runtara_compiler.native.module import WorkflowModule, build_workflow_layer

    module = WorkflowModule("not a name", "", {})
    with pytest.raises(InvalidInputError, match="cannot be the name"):
        await build_workflow_layer(library, Toolchain(tmp_path), module, tmp_path)
