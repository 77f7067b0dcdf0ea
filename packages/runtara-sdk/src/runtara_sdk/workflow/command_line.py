"""The options of a compiled workflow that somebody starts by hand.

They stand for the environment variables that name an instance, so that `./order --input '{"id": 1}'` is all it takes.
"""

from __future__ import annotations

import json
import sys
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_sdk.artifact_names import BILL_OF_MATERIALS_NAME
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.json_argument import read_text
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.workflow.surroundings import Surroundings
from runtara_sdk.workflow.workflow import Workflow
from runtara_sdk.written_decimal import dump_json, read_decimal

DEFAULT_TENANT = "default"
DEFAULT_DATABASE = "run.db"

_VARIABLES = {
    "--input": "INPUT_JSON",
    "--server": "RUNTARA_SERVER_ADDR",
    "--instance-id": "RUNTARA_INSTANCE_ID",
    "--tenant": "RUNTARA_TENANT_ID",
}

HELP = """\
{name}: a compiled workflow of Runtara.

Started by hand:

  {program} --input '{{"orderId": "A-1"}}'
  {program} --input @order.json --instance-id order-A-1 --server sqlite:///orders.db

  --input JSON|@FILE   input, {{data, variables}} or the data alone
  --server ADDRESS     database such as sqlite:///run.db, or the core daemon's host:port
                       [default: RUNTARA_SERVER_ADDR, else sqlite:///run.db]
  --instance-id ID     an id that was started before goes on where it was
                       [default: RUNTARA_INSTANCE_ID, else a new one]
  --tenant ID          owner of the instance [default: RUNTARA_TENANT_ID, else default]
  --version            scenario, version, compiler, agents and what they run on
  --sbom               all parts with versions, digests and licences, in CycloneDX (JSON)
  --help               this text

The result is printed as JSON on standard output, everything else on standard error.

Started without options it runs the instance that these environment variables name:

  RUNTARA_INSTANCE_ID  id of the instance; starting it again goes on where it was
  RUNTARA_TENANT_ID    owner of the instance
  RUNTARA_SERVER_ADDR  core daemon (127.0.0.1:8001, unix:///path), or a database such as sqlite:///run.db
  RUNTARA_INPUT_PATH   file with the input JSON, {{data, variables}} or the data alone
  INPUT_JSON           the input itself, when no file is named

Exit codes: 0 done, paused or asleep; 1 failed, or the store cannot be reached; 2 wrong usage; 3 a newer launch owns the
instance; 130 and 143 interrupted, the next start goes on."""


@dataclass(frozen=True, slots=True)
class HandStart:
    """One start by hand: its variables, and what tells people of it."""

    reader: EnvironmentReader
    surroundings: Surroundings


def read_options(argv: Sequence[str], environment: Mapping[str, str]) -> HandStart:
    """The start that options ask for; raises `InvalidInputError` that names option and remedy."""
    given: dict[str, str] = {}
    waiting = list(argv)
    while waiting:
        option, separator, value = waiting.pop(0).partition("=")
        if option not in _VARIABLES:
            raise InvalidInputError(f"unknown argument {option!r}: use --help")
        if not separator:
            if not waiting:
                raise InvalidInputError(f"{option} needs a value: use --help")
            value = waiting.pop(0)
        if option in given:
            raise InvalidInputError(f"{option} is given twice")
        given[option] = read_text(value, option) if option == "--input" else value
    for option in ("--instance-id", "--tenant"):
        if option in given:
            validate_identifier(option, given[option])
    variables = dict(environment)
    if "--input" in given:
        variables.pop("RUNTARA_INPUT_PATH", None)
    variables |= {_VARIABLES[option]: value for option, value in given.items()}
    variables.setdefault("RUNTARA_SERVER_ADDR", f"sqlite:///{DEFAULT_DATABASE}")
    variables.setdefault("RUNTARA_TENANT_ID", DEFAULT_TENANT)
    variables.setdefault("RUNTARA_INSTANCE_ID", str(uuid.uuid4()))
    reader = EnvironmentReader(variables)
    print(f"instance {variables['RUNTARA_INSTANCE_ID']}", file=sys.stderr)  # noqa: T201
    return HandStart(reader, _HandSurroundings())


class _HandSurroundings(Surroundings):
    """Prints the result."""

    def interrupted(self, reason: str, *, goes_on: bool) -> None:
        """Tell how to go on, where that is possible."""
        remedy = "; start it again with this instance id to go on" if goes_on else ""
        print(f"stopped: {reason}{remedy}", file=sys.stderr)  # noqa: T201

    def finished(self, output: bytes) -> None:
        """Print the result as JSON."""
        print(dump_json(json.loads(output, parse_float=read_decimal), ensure_ascii=False, indent=2))  # noqa: T201


def describe_version(workflow: Workflow, manifest_file: Path) -> str:
    """Scenario, version and compiler, and what the artifact's manifest says of agents and runtime."""
    name = workflow.name or workflow.id
    compiled = f", compiled by runtara-compiler {workflow.compiler_version}"
    lines = [f"{name} ({workflow.id} version {workflow.version}{compiled})"]
    manifest = _manifest(manifest_file)
    lines += [f"  {_pin(manifest[key])}" for key in ("sdk", "compiler") if key in manifest]
    lines += [f"  agent {pin['agentId']}: {_pin(pin)}" for pin in manifest.get("agents", ())]
    if "python" in manifest:
        lines.append(f"  python {manifest['python']}")
    if isinstance(native := manifest.get("native"), dict):
        lines.append(f"  base {native.get('base')}")
    return "\n".join(lines)


def read_bill_of_materials(manifest_file: Path) -> str:
    """The CycloneDX document of an artifact; raises `InvalidInputError` when it carries none."""
    try:
        if manifest_file.suffix == ".json":
            return manifest_file.with_name(BILL_OF_MATERIALS_NAME).read_text(encoding="utf-8")
        with zipfile.ZipFile(manifest_file) as archive:
            return archive.read(BILL_OF_MATERIALS_NAME).decode()
    except (OSError, KeyError, zipfile.BadZipFile):
        raise InvalidInputError(f"{manifest_file} carries no bill of materials: compile the scenario anew") from None


def _pin(pin: Mapping[str, Any]) -> str:
    digest = f" sha256:{pin['sha256']}" if pin.get("sha256") else ""
    return f"{pin.get('distribution') or pin.get('module')} {pin.get('version') or ''}{digest}".rstrip()


def _manifest(path: Path) -> Mapping[str, Any]:
    """The manifest in a file, or in the archive that the file is; a module that was started by itself has none."""
    try:
        if path.suffix == ".json":
            manifest: Mapping[str, Any] = json.loads(path.read_bytes())
            return manifest
        from runtara_sdk.artifact import inspect_artifact  # which native binaries do without

        return inspect_artifact(path).manifest or {}
    except (InvalidInputError, OSError, ValueError):
        return {}
