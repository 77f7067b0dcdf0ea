import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from runtara_sdk.cli.ctl import ctl
from runtara_sdk.cli.errors import run_program
from runtara_sdk.cli.main import runtara

SERVICES = """
    import click
    from pathlib import Path
    from runtara_sdk.errors import ConfigurationError, InvalidInputError, TransportError
    from runtara_sdk.services import CompiledScenario, RunOutcome

    calls = {}
    outcome = RunOutcome("i", "completed", {"total": 3}, None, "completed")
    error = None

    class Compiler:
        async def compile_file(self, scenario_path, *, tenant_id, target, data_dir, progress, children=()):
            if "broken" in scenario_path.name:
                raise InvalidInputError(f"{scenario_path.name}: E001 step 'a' is unknown\\n  E002 something else")
            calls["compile"] = {"target": target, "tenant_id": tenant_id, "data_dir": data_dir}
            progress("compiled")
            return CompiledScenario("s", Path("artifact"), "", 1, False, ("W001 unused step",))

    class LocalPlatform:
        async def require_plugins(self, *, runner, database_url):
            calls["require"] = {"runner": runner, "database_url": database_url}
            if runner == "docker":
                raise ConfigurationError("there is no runner 'docker': installed are native")

        async def run_artifact(self, artifact, **options):
            calls["run"] = options
            options["progress"]("running")
            if error is not None:
                raise error
            return outcome

    @click.command()
    def hello():
        '''Say hello.'''
        click.echo("hello")

    not_a_command = 1
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Installs a distribution with a module and entry points, as a package manager leaves it."""

    def install(entries: dict[str, list[str]], source: str = SERVICES, name: str = "plugin_for_test") -> object:
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"[{group}]\n" + "\n".join(items) for group, items in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (site / f"{name}.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("RUNTARA_PLUGINS", name)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name) if "raise ImportError" not in source else None

    return install


@pytest.fixture
def services(install):
    return install(
        {
            "runtara.services": [
                "compiler = plugin_for_test:Compiler",
                "local_platform = plugin_for_test:LocalPlatform",
            ],
            "runtara.cli": [
                "hello = plugin_for_test:hello",
                "wrong = plugin_for_test:not_a_command",
                "absent = plugin_for_test:absent",
            ],
        }
    )


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_DIR", raising=False)
    path = tmp_path / "order.json"
    path.write_text("{}")
    return path


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs a command line; returns exit code, standard output and standard error."""

    def run(*words: str, group=runtara) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [group.name, *words])
        with pytest.raises(SystemExit) as exit_info:
            run_program(group)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return exit_info.value.code, captured.out, captured.err

    return run


class TestRun:
    def test_prints_the_output_alone(self, services, scenario, command):
        code, out, err = command("run", str(scenario), "--input", '{"orderId": "A-1"}', "--instance-id", "i")
        assert (code, json.loads(out)) == (0, {"total": 3})
        assert "compiled" in err
        assert "W001" in err
        run = services.calls["run"]
        assert run["input_envelope"] == {"data": {"orderId": "A-1"}, "variables": {}}
        assert (run["instance_id"], run["runner"], run["tenant_id"]) == ("i", None, "default")
        assert run["data_dir"] == Path.cwd() / ".data"
        assert services.calls["compile"]["target"] == "python"

    def test_options_reach_the_services(self, services, scenario, command):
        words = ["--native", "--runner", "native", "--data-dir", "d", "--database-url", "sqlite:///x", "--tenant", "t"]
        assert command("run", str(scenario), *words)[0] == 0
        run = services.calls["run"]
        assert run["input_envelope"] is None
        assert (run["runner"], run["database_url"], run["tenant_id"]) == ("native", "sqlite:///x", "t")
        assert run["data_dir"] == Path.cwd() / "d"
        assert len(run["instance_id"]) == 36
        assert services.calls["compile"]["target"] == "native"
        assert services.calls["require"] == {"runner": "native", "database_url": "sqlite:///x"}

    def test_a_runner_that_is_not_installed_is_told_before_anything_is_compiled(self, services, scenario, command):
        assert command("run", str(scenario), "--runner", "docker")[0] == 2
        assert services.calls.keys() == {"require"}

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ('{"data": {"a": 1}}', {"data": {"a": 1}, "variables": {}}),
            ('{"data": {"a": 1}, "variables": {"b": 2}}', {"data": {"a": 1}, "variables": {"b": 2}}),
            ("{}", {"data": {}, "variables": {}}),
            ('{"data": 1, "other": 2}', {"data": {"data": 1, "other": 2}, "variables": {}}),
        ],
    )
    def test_input_forms(self, services, scenario, command, given, expected):
        Path("input.json").write_text(given)
        assert command("run", str(scenario), "--input", "@input.json")[0] == 0
        assert services.calls["run"]["input_envelope"] == expected

    def test_failure(self, services, scenario, command, monkeypatch):
        outcome = services.RunOutcome("i", "failed", None, "no stock", "application_error")
        monkeypatch.setattr(services, "outcome", outcome)
        code, out, err = command("run", str(scenario))
        assert (code, out) == (1, "")
        assert err.endswith("error: instance i failed: no stock\n")
        code, out, err = command("run", str(scenario), "--json")
        assert (code, json.loads(out)) == (
            1,
            {"instance_id": "i", "status": "failed", "output": None, "error": "no stock"},
        )

    def test_a_structured_failure_is_an_object_for_programs_and_a_line_for_people(
        self, services, scenario, command, monkeypatch
    ):
        error = {
            "code": "BUSY",
            "message": "no room",
            "category": "transient",
            "stepId": "a",
            "cause": {"message": "x"},
        }
        outcome = services.RunOutcome("i", "failed", None, json.dumps(error), "application_error")
        monkeypatch.setattr(services, "outcome", outcome)
        _, out, err = command("run", str(scenario), "--json")
        assert json.loads(out)["error"] == error
        assert "error: instance i failed: step 'a': no room [BUSY]; it may pass" in err
        assert err.endswith("\n  caused by: x\n")

    def test_pause_says_how_to_go_on(self, services, scenario, command, monkeypatch):
        monkeypatch.setattr(services, "outcome", services.RunOutcome("i", "suspended", None, None, "paused"))
        code, out, err = command("run", str(scenario), "--instance-id", "i", "--data-dir", "d")
        assert (code, out) == (3, "")
        assert f"runtara run {scenario} --instance-id i --data-dir {Path.cwd() / 'd'}" in err

    def test_interruption_says_how_to_go_on(self, services, scenario, command, monkeypatch):
        monkeypatch.setattr(services, "error", KeyboardInterrupt())
        code, out, err = command("run", str(scenario), "--instance-id", "i")
        assert (code, out) == (130, "")
        assert "--instance-id i" in err

    def test_invalid_scenario_names_every_error(self, services, scenario, command):
        broken = scenario.with_name("broken.json")
        broken.write_text("{}")
        code, _, err = command("run", str(broken))
        assert code == 2
        assert err == "error: broken.json: E001 step 'a' is unknown\n  E002 something else\n"

    @pytest.mark.parametrize(
        ("words", "hint"),
        [
            (["absent.json"], "absent.json"),
            (["order.json", "--input", "{oops"], "line 1"),
            (["order.json", "--input", "[1]"], "object"),
            (["order.json", "--input", '{"data": 1}'], "data must be"),
            (["order.json", "--input", "@absent.json"], "absent.json"),
            (["order.json", "--input", "@"], "a file name is missing behind @"),
            (["order.json", "--runner", "docker"], "no runner 'docker': installed are native"),
            (["order.json", "--child", "a"], "--child"),
            (["order.json", "--unknown"], "--unknown"),
            ([], "SCENARIO"),
        ],
    )
    def test_wrong_usage_is_one_line(self, services, scenario, command, words, hint):
        code, out, err = command("run", *words)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert hint in err

    def test_missing_distribution_is_named(self, install, scenario, command, monkeypatch):
        install({"runtara.services": ["local_platform = plugin_for_test:LocalPlatform"]})
        monkeypatch.setattr("runtara_sdk.plugins.find_plugins", lambda group: [])
        code, _, err = command("run", str(scenario))
        assert code == 2
        assert "pip install runtara-compiler" in err

    @pytest.mark.parametrize(
        ("error", "code"),
        [("TransportError('core is away')", 1), ("ZeroDivisionError('x')", 1), ("OSError(28, 'full')", 1)],
    )
    def test_other_errors_are_one_line(self, services, scenario, command, monkeypatch, error, code):
        monkeypatch.setattr(services, "error", eval(error, vars(services)))
        result, out, err = command("run", str(scenario))
        assert (result, out) == (code, "")
        assert err.splitlines()[-1].startswith("error: ")


class TestPlugins:
    def test_contributed_command(self, services, command):
        assert command("hello") == (0, "hello\n", "")
        code, out, _ = command("--help")
        assert code == 0
        assert "Say hello." in out

    def test_broken_ones_are_quarantined(self, services, command):
        code, out, _ = command("--help")
        assert code == 0
        assert "broken" in out
        assert command("hello")[0] == 0
        code, _, err = command("absent")
        assert code == 2
        assert "absent" in err
        code, _, err = command("wrong")
        assert code == 2
        assert "no click command" in err

    def test_list_tells_states_and_reasons(self, services, command):
        rows = json.loads(command("plugins", "--json")[1])
        ours = {row["name"]: row for row in rows if row["distribution"] == "plugin_for_test"}
        assert ours["compiler"]["state"] == "ok"
        assert ours["absent"]["state"] == "broken"
        assert "absent" in ours["absent"]["reason"]
        assert {row["state"] for row in rows if row["distribution"] != "plugin_for_test"} <= {"off"}
        assert "plugin_for_test" in command("plugins", "--group", "runtara.cli")[1]

    def test_disabling(self, services, command, monkeypatch):
        monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", "runtara.cli:hello")
        code, _, err = command("hello")
        assert code == 2
        assert "switched off" in err
        assert "Say hello" not in command("--help")[1]

    def test_module_that_cannot_be_imported(self, install, command):
        install({"runtara.cli": ["bad = bad_plugin:x"]}, "raise ImportError('no lxml here')", "bad_plugin")
        code, _, err = command("bad")
        assert code == 2
        assert "no lxml here" in err

    def test_unknown_command(self, command):
        code, _, err = command("nonsense")
        assert code == 2
        assert "nonsense" in err


@pytest.mark.parametrize("group", [runtara, ctl])
def test_every_command_explains_itself(group, command, monkeypatch):
    monkeypatch.setenv("RUNTARA_PLUGINS", "none")
    names = ["run", "plugins"] if group is runtara else sorted(ctl.commands)
    for name in names:
        code, out, _ = command(name, "--help", group=group)
        assert code == 0
        assert "Example" in out


def test_importing_the_sdk_is_cheap():
    program = "import sys, runtara_sdk; from runtara_sdk import RuntaraSdk, durable; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aioquic", "pydantic", "click", "google.protobuf", "cryptography"} & set(loaded)
