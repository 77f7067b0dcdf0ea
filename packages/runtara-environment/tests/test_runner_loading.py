"""Runner plugins: the built-in one comes through the entry point, a broken one is put aside."""

import sys
import threading
import types
from pathlib import Path

import pytest
from runtara_environment.runner import LaunchError, LaunchSpec, NetworkMode, Runner, RunnerProbe
from runtara_environment.runners.choosing import choose_runner
from runtara_environment.runners.loading import LoadedRunners, load_plugins, load_runners
from runtara_environment.runners.native import NativeRunner
from runtara_environment.runners.oci.runner import OciRunner
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.plugins import Plugin

NATIVE = "runtara_environment.runners.native"


def plugin(name: str, target: str, *, is_enabled: bool = True) -> Plugin:
    return Plugin("runtara.runners", name, target, "a-distribution", "1.0", is_enabled)


def test_native_runner_is_a_plugin() -> None:
    loaded = load_runners({})
    assert isinstance(loaded.get("native"), NativeRunner)
    assert loaded.broken == ()


def test_oci_runner_is_a_plugin() -> None:
    assert isinstance(load_runners({}).get("oci"), OciRunner)


def test_disabled_plugin_is_not_loaded() -> None:
    assert set(load_runners({"RUNTARA_DISABLE_PLUGINS": "runtara.runners:native"}).runners) == {"oci"}
    assert load_plugins([plugin("native", NATIVE, is_enabled=False)]).broken == ()


def test_broken_plugins_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRunner:
        runner_type = "odd"

    class Leaving(NoRunner):
        def __init__(self) -> None:
            sys.exit("no licence")

    class Hanging(NoRunner):
        def __init__(self) -> None:
            threading.Event().wait(60)

    monkeypatch.setenv("RUNTARA_PLUGIN_LOAD_SECONDS", "0.2")
    plugins = {
        "raising_plugin": None,
        "odd_plugin": (NoRunner,),
        "empty_plugin": (),
        "leaving_plugin": (Leaving,),
        "hanging_plugin": (Hanging,),
    }
    for name, classes in plugins.items():
        module = types.ModuleType(name)
        source = (
            "from runtara_environment.hookspecs import hookimpl\n"
            "@hookimpl\ndef runtara_runners():\n"
            "    if classes is None: raise RuntimeError('out of order')\n"
            "    return classes\n"
        )
        exec(source, module.__dict__ | {"classes": classes}, module.__dict__)
        module.__dict__["runtara_runners"].__globals__["classes"] = classes
        monkeypatch.setitem(sys.modules, name, module)
    names = ["missing_plugin", *plugins]
    loaded = load_plugins([plugin("native", NATIVE), *(plugin(name, name) for name in names), plugin("twin", NATIVE)])
    assert set(loaded.runners) == {"native"}
    reasons = {item.plugin.name: item.reason for item in loaded.broken}
    assert "ModuleNotFoundError" in reasons["missing_plugin"]
    assert "out of order" in reasons["raising_plugin"]
    assert "not a subclass" in reasons["odd_plugin"]
    assert "provides no runner" in reasons["empty_plugin"]
    assert reasons["leaving_plugin"] == "SystemExit: no licence"
    assert "did not finish loading within 0.2 s" in reasons["hanging_plugin"]
    assert "already" in reasons["twin"]
    with pytest.raises(ConfigurationError, match=r"installed are native; plugin missing_plugin: ModuleNotFoundError"):
        loaded.get("oci")


async def test_a_runner_whose_probe_fails_does_not_work_here() -> None:
    class Failing(NativeRunner):
        runner_type = "failing"

        async def probe(self) -> RunnerProbe:
            raise ZeroDivisionError("division by zero")

    runners = LoadedRunners({"failing": Failing()}, ())
    with pytest.raises(
        ConfigurationError, match="runner failing does not work on this machine: its probe failed: Zero"
    ):
        await choose_runner("failing", runners, prefer_containers=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"argv": ()}, "absolute path"),
        ({"argv": ("true",)}, "absolute path"),
        ({"argv": ("/bin/true", "a\0b")}, "zero byte"),
        ({"environment": {"A=B": "c"}}, "variable"),
        ({"environment": {"": "c"}}, "variable"),
        ({"run_directory": Path("relative")}, "not absolute"),
        ({"network": NetworkMode.NONE}, "network none"),
    ],
)
async def test_native_runner_refuses(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    values = {"argv": ("/bin/true",), "environment": {}, "run_directory": tmp_path} | changes
    runner: Runner = NativeRunner()
    with pytest.raises(LaunchError, match=message) as caught:
        await runner.launch(LaunchSpec(instance_id="i-1", tenant_id="t-1", epoch=1, **values))
    assert caught.value.permanent
    assert list(tmp_path.iterdir()) == []
