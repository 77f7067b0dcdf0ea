"""Runner plugins: the built-in one comes through the entry point, a broken one is put aside."""

import sys
import threading
import types
from pathlib import Path

import pytest
from runtara_environment.runner import Capability, LaunchError, LaunchSpec, NetworkMode, Runner, RunnerProbe
from runtara_environment.runners.choosing import choose_network, choose_runner
from runtara_environment.runners.loading import LoadedRunners, load_plugins, load_runners
from runtara_environment.runners.native import NativeRunner
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.settings import SupervisionSettings
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.plugins import Plugin
from runtara_sdk.settings import EnvironmentReader

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


class Offering(NativeRunner):
    """A runner that offers what it is told to."""

    def __init__(self, runner_type: str, *capabilities: str, works: bool = True) -> None:
        super().__init__()
        self.__dict__["runner_type"] = runner_type
        self._probe = RunnerProbe(
            works, "container", {name: Capability(True) for name in capabilities}, "" if works else "it is broken"
        )

    async def probe(self) -> RunnerProbe:
        return self._probe


@pytest.mark.parametrize(
    ("prefer_containers", "works", "chosen"),
    [(True, True, "oci"), (True, False, "native"), (False, True, "native")],
)
async def test_auto_takes_containers_where_they_are_wanted_and_work(
    prefer_containers: bool, works: bool, chosen: str
) -> None:
    runners = LoadedRunners({"native": Offering("native"), "oci": Offering("oci", works=works)}, ())
    runner, _ = await choose_runner("auto", runners, prefer_containers=prefer_containers)
    assert runner.runner_type == chosen
    broken = LoadedRunners({"oci": Offering("oci", works=False)}, ())
    with pytest.raises(ConfigurationError, match="oci: it is broken"):
        await choose_runner("auto", broken, prefer_containers=prefer_containers)


@pytest.mark.parametrize(
    ("wanted", "capabilities", "core_address", "chosen"),
    [
        (None, ("network_none",), "unix:///core.sock", NetworkMode.NONE),
        (None, (), "unix:///core.sock", NetworkMode.HOST),
        (None, (), "127.0.0.1:8001", NetworkMode.HOST),
        (NetworkMode.HOST, ("network_none",), "127.0.0.1:8001", NetworkMode.HOST),
        (NetworkMode.PASTA, ("network_pasta",), "127.0.0.1:8001", NetworkMode.PASTA),
        (None, ("network_none",), "127.0.0.1:8001", "cannot reach core at 127.0.0.1:8001"),
        (NetworkMode.NONE, ("network_none",), "127.0.0.1:8001", "leave RUNTARA_CORE_ADDR out"),
        (NetworkMode.NONE, (), "unix:///core.sock", "RUNTARA_NETWORK_MODE=none does not work with runner some"),
        (NetworkMode.PASTA, ("network_none",), "unix:///core.sock", "RUNTARA_NETWORK_MODE=pasta does not work"),
    ],
)
async def test_the_network_of_programs(
    wanted: NetworkMode | None, capabilities: tuple[str, ...], core_address: str, chosen: NetworkMode | str
) -> None:
    runner = Offering("some", *capabilities)
    probe = await runner.probe()
    if isinstance(chosen, NetworkMode):
        assert choose_network(wanted, runner, probe, core_address) is chosen
    else:
        with pytest.raises(ConfigurationError, match=chosen):
            choose_network(wanted, runner, probe, core_address)


async def test_a_network_in_which_core_is_out_of_reach_is_refused() -> None:
    class Secluding(Offering):
        def core_obstacle(self, network: NetworkMode, core_address: str) -> str | None:
            return f"core at {core_address} cannot be reached" if network is NetworkMode.PASTA else None

    runner = Secluding("some", "network_pasta")
    probe = await runner.probe()
    assert choose_network(NetworkMode.HOST, runner, probe, "192.0.2.1:8001") is NetworkMode.HOST
    with pytest.raises(ConfigurationError, match=r"core at 192\.0\.2\.1:8001 cannot be reached"):
        choose_network(NetworkMode.PASTA, runner, probe, "192.0.2.1:8001")


@pytest.mark.parametrize(
    ("text", "mode"),
    [(None, None), ("none", NetworkMode.NONE), ("isolated", NetworkMode.NONE), ("host", NetworkMode.HOST)],
)
def test_variables_of_containers(tmp_path: Path, text: str | None, mode: NetworkMode | None) -> None:
    variables = {"BUNDLES_DIR": str(tmp_path)} | ({} if text is None else {"RUNTARA_NETWORK_MODE": text})
    settings = SupervisionSettings.from_environment(EnvironmentReader(variables))
    assert (settings.network, settings.bundles_directory) == (mode, tmp_path)
    with pytest.raises(ConfigurationError, match="RUNTARA_NETWORK_MODE='bridge' is no network mode"):
        SupervisionSettings.from_environment(EnvironmentReader({"RUNTARA_NETWORK_MODE": "bridge"}))


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
