"""`runtara test` and `runtara verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from runtara_compiler.compilation import CompilationInput
from runtara_compiler.trials.cases import duration_ms, parse_cases
from runtara_compiler.trials.cli import test_command as try_command
from runtara_compiler.trials.running import load_workflow
from runtara_compiler.trials.verification import verify_workflow
from runtara_compiler.trials.verify_cli import verify_command
from runtara_sdk.testing.trial import Trial
from runtara_sdk.testing.trial_world import Answer

WAITING = {
    "steps": {
        "pause": {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 259_200_000}},
        "ask": {"stepType": "WaitForSignal", "timeoutMs": {"valueType": "immediate", "value": 86_400_000}},
        "finish": {
            "stepType": "Finish",
            "inputMapping": {"outputs": {"valueType": "reference", "value": "steps.ask.outputs"}},
        },
    },
    "executionPlan": [{"fromStep": "pause", "toStep": "ask"}, {"fromStep": "ask", "toStep": "finish"}],
}
ANSWERED = {
    "name": "answered",
    "signals": [{"step": "ask", "payload": {"ok": True}, "after": "2h"}],
    "expect": {"output": {"ok": True}, "passed": "266400s", "events": [{"type": "external_input_requested"}]},
}
UNANSWERED = {"name": "unanswered", "expect": {"error": {"code": "WAIT_TIMEOUT"}, "passed": "4d"}}
WRONG = {"name": "wrong", "signals": ANSWERED["signals"], "expect": {"output": {"ok": False}, "calls": [{}]}}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "waiting.json"
    path.write_text(json.dumps(WAITING))
    return path


def cases_file(scenario: Path, *cases: Any) -> str:
    path = scenario.with_name("cases.json")
    path.write_text(json.dumps({"cases": cases}))
    return str(path)


def run(command: Any, *arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_days_pass_at_once(scenario: Path) -> None:
    code, out, _ = run(try_command, scenario, "--cases", cases_file(scenario, ANSWERED, UNANSWERED))
    assert code == 0
    assert [line.split(" (")[0] for line in out.splitlines()] == [
        "ok      answered",
        "ok      unanswered",
        "2 passed, 0 failed",
    ]
    assert "3 d 2 h for the instance, 3 launches" in out


def test_every_difference_is_told(scenario: Path) -> None:
    cases = cases_file(scenario, ANSWERED, WRONG)
    code, out, _ = run(try_command, scenario, "--cases", cases)
    assert code == 1
    assert "failed  wrong" in out
    assert "output.ok: expected false, found true" in out
    assert "calls: expected 1, found 0" in out
    code, out, _ = run(try_command, scenario, "--cases", cases, "--case", "wrong", "--json")
    document = json.loads(out)
    assert (code, document["failed"], document["cases"][0]["output"]) == (1, 1, {"ok": True})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ('{"cases": []}', "holds no cases"),
        ('{"cases": [{"name": "a"}]}', "cases[0].expect"),
        ('{"cases": [{"name": "a", "expect": {}, "inpt": 1}]}', "inpt"),
        ('{"cases": [{"name": "a", "expect": {"passed": "2 weeks"}}]}', "must be a duration such as 2d"),
        ('[{"name": "a", "expect": {}}, {"name": "a", "expect": {}}]', "given to several cases"),
    ],
)
def test_cases_that_cannot_be_read(scenario: Path, content: str, told: str) -> None:
    path = scenario.with_name("cases.json")
    path.write_text(content)
    code, out, err = run(try_command, scenario, "--cases", path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert told in err


def test_a_scenario_with_mistakes_is_not_tried(scenario: Path) -> None:
    scenario.write_text(json.dumps({"steps": {"a": {"stepType": "Fnish"}}}))
    code, _, err = run(try_command, scenario, "--cases", cases_file(scenario, UNANSWERED))
    assert code == 2
    assert "did you mean 'Finish'" in err


def test_the_cases_of_the_readme_can_be_read() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = [part.partition("```")[0] for part in readme.split("```json\n")[1:]]
    assert blocks
    for block in blocks:
        assert parse_cases(json.loads(block), "README.md").cases


def test_durations() -> None:
    texts = ["1500", "2d", "1.5h", "30min", "10s", "500ms", 7]
    assert [duration_ms(text) for text in texts[1:]] == [172_800_000, 5_400_000, 1_800_000, 10_000, 500, 7]
    with pytest.raises(ValueError, match="duration"):
        duration_ms(texts[0])


def test_verify_tries_every_death(scenario: Path) -> None:
    place = ("--data-dir", scenario.parent / "data")
    code, out, _ = run(verify_command, scenario, "--cases", cases_file(scenario, ANSWERED), *place)
    assert code == 0
    assert out.startswith("undisturbed: completed\n")
    assert out.endswith("deaths tried: no death changes anything\n")
    code, out, _ = run(verify_command, scenario, "--cases", cases_file(scenario, ANSWERED), *place, "--json")
    certificate = json.loads(out)
    assert (code, certificate["holds"], certificate["changed"]) == (0, True, [])
    assert certificate["deaths"] >= 8
    assert len(certificate["artifactSha256"]) == 64


async def test_verify_finds_what_a_death_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgotten(*_: object) -> None:
        return None

    monkeypatch.setattr("runtara_sdk.workflow.retry.DurableCalls.handled_failure", forgotten)
    agent = {"stepType": "Agent", "agentId": "http", "capabilityId": "http-request", "maxRetries": 0}
    url = {"url": {"valueType": "immediate", "value": "http://example.com"}}
    document = {
        "entryPoint": "a",
        "steps": {
            "a": {**agent, "inputMapping": url},
            "f": {"stepType": "Finish"},
            "h": {"stepType": "Log", "message": "m"},
        },
        "executionPlan": [
            {"fromStep": "a", "toStep": "f"},
            {"fromStep": "a", "toStep": "h", "label": "onError"},
            {"fromStep": "h", "toStep": "f"},
        ],
    }
    workflow = load_workflow(CompilationInput("trial", "forgetful", 1, document))
    verification = await verify_workflow(workflow, Trial(capabilities={"a": [Answer(error={"code": "BAD"})]}))
    # The stand-in answers a repeated call as before, so only the repetition shows.
    assert any(result.point.after and result.repeated == 1 for result in verification.results)
