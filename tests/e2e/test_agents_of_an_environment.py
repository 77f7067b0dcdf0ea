"""Agents through the management port: exactly those of the bundle are listed, and capabilities are tested apart."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.errors import CapabilityNotFoundError, RuntaraError
from runtara_sdk.testing.plugin_site import PluginSite, agent_source
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

from tests.containers import RUNTIME, choose_runtime

from .conftest import DEADLINE_SECONDS, REPOSITORY, Daemons, Product, wait_until

BUNDLE = REPOSITORY / "examples" / "product_bundle" / "src"
TENANT = "acme"
SECRET = "the-secret-of-the-daemon"

HOSTILE = '''
import asyncio, os, signal, subprocess, sys, time
from pathlib import Path
from typing import Any
from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext, RawConnection, capability

class Value(BaseModel):
    """A value."""
    value: Any = None
    connection: RawConnection | None = Field(default=None, alias="_connection")

class Number(BaseModel):
    """A number."""
    number: int

@capability(id="echo", description="Gives back.")
def echo(inputs: Value) -> Any:
    return inputs.value

@capability(id="double", description="Doubles.")
def double(inputs: Number) -> int:
    return 2 * inputs.number

@capability(id="refuse", description="Refuses.")
def refuse(inputs: Value) -> Any:
    raise AgentError.transient("OUT_OF_STOCK", "none left", attributes={"left": 0})

@capability(id="leave", description="Ends the process.")
def leave(inputs: Value) -> Any:
    if inputs.value == "sys.exit":
        sys.exit(3)
    if inputs.value == "os._exit":
        os._exit(7)
    print(f"about to die with {inputs.connection.parameters['token']}", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGKILL)

@capability(id="stay", description="Does not come back, nor does what it starts.")
def stay(inputs: Value) -> Any:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "left-behind"])
    Path(inputs.value).touch()
    time.sleep(600)

@capability(id="flood", description="Prints without end.")
def flood(inputs: Value) -> Any:
    for _ in range(200):
        os.write(1, b"x" * 65536)
        os.write(2, b"y" * 65536)
    print("z" * 1_000_000)
    return "x" * inputs.value

@capability(id="look", description="Looks around.")
def look(inputs: Value, context: CapabilityContext) -> Any:
    with context.require_workspace().create("deep/file") as file:
        file.write(b"content")
        file.commit()
    os.chmod(context.require_workspace().root / "deep", 0)
    seen = {"variables": dict(os.environ), "directory": os.getcwd(), "input": sys.stdin.read()}
    secret = inputs.connection.parameters["token"] if inputs.connection else ""
    return {**seen, "token_length": len(secret), "says": f"the token is {secret}"}

@capability(id="meet", description="Waits for another call.")
async def meet(inputs: Value) -> Any:
    place, own, other = Path(inputs.value[0]), inputs.value[1], inputs.value[2]
    (place / own).touch()
    while not (place / other).exists():
        await asyncio.sleep(0.01)
    return own

@capability(id="eat", description="Takes more memory than there is, or as much as is said.")
def eat(inputs: Value) -> Any:
    return len(b"x" * (inputs.value or 64 * 1024**3))

@capability(id="see", description="Tells what is within reach.")
def see(inputs: Value) -> Any:
    def listed(path):
        try:
            return sorted(os.listdir(path))
        except OSError:
            return None
    return {
        "user": os.getuid(),
        "networks": listed("/sys/class/net") or [line.split(":")[0].strip() for line in open("/proc/net/dev")][2:],
        "data": listed(inputs.value),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "variables": dict(os.environ),
        "token_length": len(inputs.connection.parameters["token"]),
    }

the_agent = AgentDefinition(id="hostile", capabilities=[echo, double, refuse, leave, stay, flood, look, meet, eat, see])

def runtara_agents():
    return [the_agent]
'''


def processes_of_tests(product: Product) -> list[str]:
    """Living processes that list or test, and what these have started."""
    lines = product.processes().values()
    return [line for line in lines if "agent_process" in line or "left-behind" in line or ".capability-tests" in line]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> PluginSite:
    """Beside the installed distributions: an agent that does harm when it is called, and the bundle of a product."""
    made = PluginSite(tmp_path_factory.mktemp("site"))
    made.add("hostile", HOSTILE, requires=["runtara-sdk>=0.1,<0.2"])
    made.describe("acme-stdlib")
    made.directory.chmod(0o755)  # programs in containers are users of their own
    return made


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory, site: PluginSite) -> Iterator[Daemons]:
    """Daemons whose environment has the hostile agent, and may test."""
    product = Product(tmp_path_factory.mktemp("harmed"))
    made = Daemons(
        product,
        f"sqlite:///{product.directory}/runtara.db",
        PYTHONPATH=str(site.directory),
        ENABLE_AGENT_TESTING="true",
        SECRET_OF_THE_DAEMON=SECRET,
        RUNTARA_OCI_RUNTIME=RUNTIME,
        RUNTARA_CORE_ADDR=format_local_address(socket_path(product.data_dir, CORE_SOCKET)),
    )
    try:
        made.start()
        yield made
        made.stop()
    finally:
        product.close()


@pytest.fixture
def container_runtime(monkeypatch: pytest.MonkeyPatch) -> str:
    """The runtime of containers, which the daemons have, too."""
    return choose_runtime(monkeypatch)


@pytest.fixture
def call(harmed: Daemons) -> Callable[..., Any]:
    """Calls a capability of the hostile agent."""

    async def made(capability_id: str, value: Any = None, **options: Any) -> Any:
        async with harmed.sdk() as sdk:
            return await sdk.test_capability("hostile", capability_id, {"value": value}, tenant_id=TENANT, **options)

    return made


async def test_exactly_the_agents_of_the_bundle_are_there(sqlite_daemons: Any, site: PluginSite) -> None:
    daemons = sqlite_daemons(
        PYTHONPATH=f"{BUNDLE}:{site.directory}",
        RUNTARA_STDLIB_NAME="acme_stdlib",
        RUNTARA_DISABLE_PLUGINS="hostile",
    )
    product = daemons.product
    listed = product.ctl("agents", "list")
    ids = {agent["id"] for agent in listed}
    assert {"orders", "csv", "transform", "file"} <= ids
    assert not {"http", "hostile"} & ids
    # The same set that a build takes, described with the same words.
    assert product.run("runtara", "agents", "list", "--json").output == listed

    shown = product.ctl("agents", "show", "ORDERS", "total")
    assert product.run("runtara", "agents", "show", "orders", "total", "--json").output == shown
    text = product.run("runtara", "agents", "show", "orders", "total").stdout.strip()
    assert product.ctl("agents", "show", "orders", "total", "--table") == text
    assert shown["inputSchema"]["properties"]["lines"]["type"] == "array"
    assert shown["outputSchema"] == {"type": "string"}
    async with daemons.sdk() as sdk:
        with pytest.raises(CapabilityNotFoundError):
            await sdk.get_capability("http", "http-request")
        # Nobody has allowed tests.
        refused = await sdk.test_capability("orders", "total", tenant_id=TENANT)
    assert refused.error.code == "AGENT_TESTING_DISABLED"
    assert "ENABLE_AGENT_TESTING=true" in refused.error.message


async def test_what_is_installed_while_the_daemon_runs_is_listed(sqlite_daemons: Any, tmp_path: Path) -> None:
    site = PluginSite(tmp_path / "site")
    site.directory.mkdir()
    daemons = sqlite_daemons(PYTHONPATH=str(site.directory))
    async with daemons.sdk() as sdk:
        ids = [agent.agent_id for agent in await sdk.list_agents()]
        assert "http" in ids
        site.add("late", "raise RuntimeError('it is not finished')\n", requires=["runtara-sdk>=0.1,<0.2"])
        assert [agent.agent_id for agent in await sdk.list_agents()] == ids
        module = site.directory / "module_of_late.py"
        module.write_text(agent_source("late"))
        assert [agent.agent_id for agent in await sdk.list_agents()] == sorted([*ids, "late"])
        found = await sdk.get_capability("late", "do-nothing")
        assert (found.capability_id, found.inputs, found.description) == ("do-nothing", (), "Nothing.")
        module.write_text(agent_source("late").replace('"Nothing."', '"Nothing at all."'))
        assert (await sdk.get_capability("late", "do-nothing")).description == "Nothing at all."


async def test_what_breaks_when_it_is_loaded_takes_nothing_else_down(sqlite_daemons: Any, tmp_path: Path) -> None:
    site = PluginSite(tmp_path / "site")
    site.directory.mkdir()
    site.add("hanging", "import time\ntime.sleep(600)\n", requires=["runtara-sdk>=0.1,<0.2"])
    site.add("exiting", "import os\nos._exit(9)\n", requires=["runtara-sdk>=0.1,<0.2"])
    site.add("raising", "raise RuntimeError('no licence')\n", requires=["runtara-sdk>=0.1,<0.2"])
    daemons = sqlite_daemons(PYTHONPATH=str(site.directory), RUNTARA_PLUGIN_LOAD_SECONDS="1")
    async with daemons.sdk() as sdk:
        assert {"file", "http", "transform"} <= {agent.agent_id for agent in await sdk.list_agents()}
    said = daemons.environment.said()
    for plugin, reason in (("hanging", "within 1 s"), ("exiting", "ended with exit code 9"), ("raising", "no licence")):
        assert any(f"{plugin} of acme-{plugin}: " in line and reason in line for line in said.splitlines()), said


def test_a_capability_is_tested_by_command(harmed: Daemons) -> None:
    product = harmed.product
    words = ("agents", "test", "transform", "array-length", "--tenant", TENANT, "--input", '{"value": ["a", "b"]}')
    done = product.ctl(*words, "--runner", "native", "--json")
    assert (done["success"], done["output"], done["error"]) == (True, {"length": 2, "is_array": True}, None)
    assert done["execution_time_ms"] > 0
    told = product.run("runtara-ctl", "agents", "test", "hostile", "refuse", "--tenant", TENANT, "--json")
    assert (told.exit_code, told.output["error"]["attributes"]) == (1, {"left": "0"})


async def test_failures_have_codes(harmed: Daemons, call: Any) -> None:
    decimal = await call("echo", 0.1)
    assert (decimal.success, decimal.output) == (True, 0.1)
    results = await asyncio.gather(
        call("leave", "sys.exit"),
        call("leave", "os._exit"),
        call("leave", "SIGKILL", connection={"integration_id": "shop", "parameters": {"token": "secret-token"}}),
        call("double"),
        call("refuse"),
        call("eat"),
        call("nothing-of-it"),
    )
    told = [(result.success, result.error.code) for result in results]
    assert told == [
        (False, "CAPABILITY_EXITED"),
        (False, "CAPABILITY_CRASHED"),
        (False, "CAPABILITY_CRASHED"),
        (False, "INPUT_DESERIALIZATION_ERROR"),
        (False, "OUT_OF_STOCK"),
        (False, "CAPABILITY_ERROR"),
        (False, "UNKNOWN_CAPABILITY"),
    ]
    assert "exit code 7" in results[1].error.message
    assert "was killed by SIGKILL and gave no result; it said: about to die with [redacted]" in results[2].error.message
    assert results[4].error.category == "transient"
    assert "MemoryError" in results[5].error.message
    async with harmed.sdk() as sdk:
        for given, code in (
            ({"inputs": b"\xff", "tenant_id": TENANT}, "VALIDATION_ERROR"),
            ({"inputs": b"[]", "tenant_id": TENANT}, "VALIDATION_ERROR"),
            ({"connection": b"{'a': 1}", "tenant_id": TENANT}, "VALIDATION_ERROR"),
            ({"timeout_ms": 300_001, "tenant_id": TENANT}, "VALIDATION_ERROR"),
            ({}, "VALIDATION_ERROR"),
        ):
            result = await sdk.test_capability("hostile", "echo", **given)
            assert (result.success, result.error.code) == (False, code), given
        unknown = await sdk.test_capability("nobody", "echo", tenant_id=TENANT)
        assert unknown.error.code == "UNKNOWN_CAPABILITY"
        assert "there is no agent 'nobody' here; there are compression, " in unknown.error.message


async def test_what_does_not_come_back_is_killed_with_what_it_started(
    harmed: Daemons, call: Any, tmp_path: Path
) -> None:
    marks = [tmp_path / name for name in ("late", "cancelled")]
    late = asyncio.create_task(call("stay", str(marks[0]), timeout_ms=4_000))
    cancelled = asyncio.create_task(call("stay", str(marks[1])))
    await asyncio.to_thread(wait_until, lambda: all(mark.exists() for mark in marks), "both calls")
    assert sum("shim.py" not in line for line in processes_of_tests(harmed.product)) == 4
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    result = await late
    assert (result.error.code, result.error.category) == ("TIMEOUT", "transient")
    assert 4_000 <= result.execution_time_ms < 20_000
    await asyncio.to_thread(wait_until, lambda: not processes_of_tests(harmed.product), "the end of all processes")
    directory = harmed.product.data_dir / ".capability-tests"
    await asyncio.to_thread(wait_until, lambda: not list(directory.iterdir()), "the removal of their files")


async def test_output_and_results_are_bounded(call: Any) -> None:
    printed, large = await asyncio.gather(call("flood", 1_000), call("flood", 20_000_000))
    assert (printed.success, len(printed.output)) == (True, 1_000)
    assert large.error.code == "RESULT_TOO_LARGE"


async def test_a_test_sees_no_secrets_and_leaves_no_files(harmed: Daemons, call: Any) -> None:
    connection = {"integration_id": "shop", "parameters": {"token": "secret-of-the-connection"}}
    result = await call("look", connection=connection)
    assert result.success, result
    assert SECRET not in json.dumps(result.output)
    allowed = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONUSERBASE", "LD_LIBRARY_PATH"}
    more = {name for name in result.output["variables"] if not name.startswith("RUNTARA_")} - allowed - {"LC_CTYPE"}
    assert more == set()
    assert not {name for name in result.output["variables"] if "DATABASE" in name or "KEY" in name or "ADDR" in name}
    assert (result.output["input"], result.output["token_length"]) == ("", len("secret-of-the-connection"))
    assert "secret-of-the-connection" not in result.output["says"]
    assert Path(result.output["directory"]).parents[1] == harmed.product.data_dir / ".capability-tests"
    assert not Path(result.output["directory"]).exists()


async def test_two_run_side_by_side(call: Any, tmp_path: Path) -> None:
    first, second = await asyncio.gather(
        call("meet", [str(tmp_path), "a", "b"]), call("meet", [str(tmp_path), "b", "a"])
    )
    assert (first.output, second.output) == ("a", "b")


async def test_a_call_in_a_container_has_what_containers_have(
    harmed: Daemons, call: Any, container_runtime: str
) -> None:
    del container_runtime
    connection = {"integration_id": "shop", "parameters": {"token": "secret-of-the-connection"}}
    unknown = await call("echo", runner="cloud")
    seen, eaten = await asyncio.gather(
        call("see", str(harmed.product.data_dir), connection=connection, runner="oci", timeout_ms=200_000),
        call("eat", 1024**3, runner="oci", timeout_ms=200_000),
    )
    assert seen.success, seen
    assert (seen.output["user"], seen.output["networks"]) == (1000, ["lo"])
    assert seen.output["data"] == [".capability-tests"]
    assert seen.output["processes"] < 6
    assert SECRET not in json.dumps(seen.output)
    assert seen.output["token_length"] == len("secret-of-the-connection")
    assert eaten.error.code == "CAPABILITY_CRASHED"
    assert "needed more memory than it may have (512 MiB)" in eaten.error.message
    assert unknown.error.code == "RUNNER_UNAVAILABLE"
    assert "the runner cloud that was asked for is not installed here" in unknown.error.message
    assert list((harmed.product.data_dir / "bundles").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "runner"), [(signal.SIGKILL, "native"), (signal.SIGTERM, "native"), (signal.SIGKILL, "oci")]
)
async def test_a_test_ends_with_its_daemon(
    harmed: Daemons, call: Any, container_runtime: str, number: signal.Signals, runner: str
) -> None:
    del container_runtime
    directory = harmed.product.data_dir / ".capability-tests"
    under_way = asyncio.create_task(call("stay", "mark", runner=runner))
    await asyncio.to_thread(wait_until, lambda: [*directory.glob("*/run/mark")], "the call")
    environment = harmed.environment
    assert environment is not None
    began = asyncio.get_running_loop().time()
    finished = await asyncio.to_thread(environment.stop, number)
    try:
        if number is signal.SIGTERM:
            assert finished.exit_code == 0
            assert (await under_way).error.code == "ENVIRONMENT_STOPPING"
        await asyncio.to_thread(wait_until, lambda: not processes_of_tests(harmed.product), "the end of all processes")
        assert asyncio.get_running_loop().time() - began < DEADLINE_SECONDS / 3
    finally:
        under_way.cancel()
        with suppress(asyncio.CancelledError, RuntaraError):
            await under_way
        await asyncio.to_thread(harmed.start_environment)
    assert not directory.exists(), "the next daemon removes what an earlier one has left"
    bundles = harmed.product.data_dir / "bundles"
    assert [*bundles.glob("*")] == []
