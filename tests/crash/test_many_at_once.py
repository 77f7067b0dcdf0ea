"""Many instances of two tenants at once: all end once, few run at a time, and the small tenant waits for nobody.

RUNTARA_MANY_INSTANCES (60 unless set) with RUNTARA_MANY_LIMIT (6 unless set) at a time; a fifth of them are of the
small tenant, which starts after the large one. The size that operators meet:

    RUNTARA_MANY_INSTANCES=500 RUNTARA_MANY_LIMIT=32 uv run pytest -s tests/crash/test_many_at_once.py
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from crash_platform import Platform
from processes import DEADLINE_SECONDS, eventually
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

PROGRAM = Path(__file__).with_name("programs") / "short.py"
INSTANCES = int(os.environ.get("RUNTARA_MANY_INSTANCES", "60"))
LIMIT = int(os.environ.get("RUNTARA_MANY_LIMIT", "6"))
SMALL = INSTANCES // 5
MOST_GROWTH_KIB = 16 * 1024
"""Of a daemon's memory, while all are started, run and end: it holds none of them but those that run."""


def memory_kib(process_id: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{process_id}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def most_at_a_time(spans: list[tuple[int, int]]) -> int:
    # Of two at one millisecond the end comes first: a place is free before it is taken.
    changes = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    running = highest = 0
    for _, change in changes:
        running += change
        highest = max(highest, running)
    return highest


@pytest.mark.timeout(240 + 2 * INSTANCES)
async def test_many_instances_of_two_tenants_share_few_places(own_platform: Platform, tmp_path: Path) -> None:
    platform = own_platform
    platform.set_variable("RUNTARA_MAX_CONCURRENT_INSTANCES", str(LIMIT))
    # As without any setting on one machine: programs reach core by its socket.
    platform.set_variable("RUNTARA_CORE_ADDR", format_local_address(socket_path(platform.data_dir, CORE_SOCKET)))
    core, environment = await platform.start_core(), await platform.start_environment()
    gate, witness = tmp_path / "gate", tmp_path / "witness"
    tenants = ["large"] * (INSTANCES - SMALL) + ["small"] * SMALL
    async with platform.sdk() as sdk:
        images = {tenant: await sdk.register_image_stream(tenant, "short", PROGRAM) for tenant in ("large", "small")}
        before = {daemon.pid: memory_kib(daemon.pid, "VmRSS") for daemon in (core, environment)}
        began = time.monotonic()
        for tenant in ("large", "small"):
            await asyncio.gather(
                *(
                    sdk.start_instance(
                        images[tenant].image_id,
                        tenant,
                        instance_id=f"{tenant}-{number}",
                        env={"SHORT_GATE": str(gate), "SHORT_WITNESS": str(witness)},
                    )
                    for number in range(tenants.count(tenant))
                )
            )
        started_s = time.monotonic() - began
        # All places are the large tenant's, whose instances wait until everything has been started.
        gate.touch()
        began = time.monotonic()

        async def all_ended() -> bool:
            (row,) = await platform.fetch("SELECT COUNT(*) FROM instances WHERE finished_at_ms IS NOT NULL")
            return bool(row[0] == INSTANCES)

        await eventually(
            all_ended, "the end of all instances", details=platform.transcript, seconds=DEADLINE_SECONDS + INSTANCES
        )
    seconds = time.monotonic() - began
    rows = await platform.fetch("SELECT tenant_id, status, epoch, started_at_ms, finished_at_ms FROM instances")
    assert Counter((row[0], row[1], row[2]) for row in rows) == {
        ("large", "completed", 1): INSTANCES - SMALL,
        ("small", "completed", 1): SMALL,
    }
    assert Counter(witness.read_text().split()) == {
        f"{tenant}-{number}": 1 for tenant in ("large", "small") for number in range(tenants.count(tenant))
    }
    assert most_at_a_time([(row[3], row[4]) for row in rows]) <= LIMIT

    # While both have some that wait, the tenants have equal places, so about as many of the large one run meanwhile as
    # the small one has. A quarter of the large one is left for sure; by age alone nothing of it would be.
    last_of_small = max(row[4] for row in rows if row[0] == "small")
    later = sum(row[3] > last_of_small for row in rows if row[0] == "large")
    assert later >= (INSTANCES - SMALL) // 4, f"{later} of the large tenant ran after the last of the small one"

    grown = {pid: memory_kib(pid, "VmHWM") - kib for pid, kib in before.items()}
    print(
        f"\n{INSTANCES} instances, {LIMIT} at a time: started in {started_s:.1f} s, ended in {seconds:.1f} s; {later} "
        f"of the large tenant after the last of the small one; memory before {list(before.values())} KiB, at the peak "
        f"{list(grown.values())} KiB more, now {[memory_kib(pid, 'VmRSS') for pid in before]} KiB"
    )
    assert max(grown.values()) <= MOST_GROWTH_KIB
