"""Runs programs in containers as an ordinary user; prints what came of it as JSON. Started by a test.

python rootless_programs.py DIRECTORY
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtara_environment.runner import LaunchError, LaunchSpec, Limits, NetworkMode
from runtara_environment.runners.oci.runner import OciRunner

LOOK = """
import json, os, socket
found = {}
lines = open('/proc/self/status').read().splitlines()
status = dict(line.split(':\\t', 1) for line in lines if ':\\t' in line)
found['status'] = {name: status[name] for name in ('CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')}
def readable(path):
    try: return bool(os.listdir(path) if os.path.isdir(path) else open(path).read(1))
    except OSError: return False
found['readable'] = [path for path in PATHS if readable(path)]
def write(path):
    try: open(path, 'w').close()
    except OSError: return False
    return True
found['writable'] = [path for path in ('made', '/tmp/made', '/made', '/usr/made', 'launch-1/made') if write(path)]
found['processes'] = len([name for name in os.listdir('/proc') if name.isdigit()])
found['interfaces'] = [name for _, name in socket.if_nameindex()]
print(json.dumps(found))
"""
TRANSLATED = """
import json, socket
with socket.socket() as s:
    s.settimeout(5)
    reached = s.connect_ex(('169.254.169.254', 80)) == 0
status = open('/proc/self/status').read()
rights = int(status.split('CapEff:')[1].split()[0], 16)
interfaces = sorted(name for _, name in socket.if_nameindex())
print(json.dumps({'interfaces': interfaces, 'metadata': reached, 'rights': rights}))
"""
WAIT = "import time; open('ready', 'w').close()\nwhile True: time.sleep(60)"


async def main(directory: Path) -> None:
    """Probe, look around, stop, kill the shim, ask for what cannot be given."""
    runner = OciRunner()
    probe = await runner.probe()
    report: dict[str, Any] = {"probe": asdict(probe)}
    if probe.available:
        (directory / "other").mkdir()
        (directory / "other" / "secret").write_text("another's")
        paths = [str(directory / "other" / "secret"), str(directory / "bundles"), "/etc/shadow", "launch-1"]

        def spec(name: str, code: str, **changes: Any) -> LaunchSpec:
            argv = (sys.executable, "-I", "-S", "-c", code)
            network = NetworkMode.NONE
            run_directory = directory / "runs" / name
            values: dict[str, Any] = {"network": network, "bundles_directory": directory / "bundles"} | changes
            return LaunchSpec(name, "tenant", 1, argv, {"GIVEN": "value"}, run_directory, **values)

        process = await runner.launch(spec("look", f"PATHS = {paths!r}\n{LOOK}"))
        ended = await process.wait()
        report["look"] = asdict(ended)
        report["found"] = json.loads(await process.output_tail("stdout") or "{}")
        report["errors"] = await process.output_tail("stderr")
        busy = await runner.launch(spec("busy", "while True: pass"))
        async with asyncio.timeout(60):
            while (await busy.cpu_usage_usec() or 0) < 200_000:  # nothing announces it
                await asyncio.sleep(0.02)
        await busy.stop(0)
        report["used_after_the_end"] = await busy.cpu_usage_usec()
        stopped = await runner.launch(spec("stop", WAIT))
        await begun(directory / "runs" / "stop" / "ready")
        report["stopped"] = asdict(await stopped.stop(30))
        killed = await runner.launch(spec("kill", WAIT))
        await begun(directory / "runs" / "kill" / "ready")
        owner = json.loads((directory / "runs" / "kill" / "launch-1" / "shim.json").read_text())
        os.kill(owner["pid"], signal.SIGKILL)
        report["killed"] = asdict(await killed.wait())
        try:
            await runner.launch(spec("bounded", "pass", limits=Limits(memory_bytes=64 << 20)))
        except LaunchError as error:
            report["refused"] = error.message
        if probe.capabilities["network_pasta"].available:
            process = await runner.launch(spec("translated", TRANSLATED, network=NetworkMode.PASTA))
            await process.wait()
            report["translated"] = json.loads(await process.output_tail("stdout") or "{}")
        report["left"] = [str(path) for path in (directory / "bundles").iterdir()]
    print(json.dumps(report))


async def begun(mark: Path) -> None:
    """Wait for a file, at most a minute."""
    async with asyncio.timeout(60):
        while not mark.exists():
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
