"""A limit of launches per host: never passed, adopted launches count, and a full host goes on once one has ended."""

from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.models import InstanceStatus


async def start_waiting(host: SupervisedHost, count: int) -> None:
    for number in range(count):
        await host.create(f"instance-{number}")


async def complete(host: SupervisedHost, process: MockProcess) -> None:
    await host.register_guest(process)
    await host.complete_guest(process)
    process.end(0)
    await host.settled(InstanceStatus.COMPLETED, process.spec.instance_id)


async def runs(host: SupervisedHost, count: int) -> list[MockProcess]:
    """The living processes, once there are `count` of them."""

    async def look() -> bool:
        assert len(host.runner.alive) <= count
        return len(host.runner.alive) == count

    await host.until(look, f"{count} processes")
    return host.runner.alive


async def test_no_more_than_the_limit_run_and_all_have_their_turn(host: SupervisedHost) -> None:
    await start_waiting(host, 5)
    await host.supervise(max_launches=2)
    ended = 0
    while ended < 5:
        running = await runs(host, min(2, 5 - ended))
        await host.pass_time(2_000)
        assert host.runner.alive == running
        await complete(host, running[0])
        ended += 1


async def test_a_limit_of_one_holds_through_crashes_and_sleeps(host: SupervisedHost) -> None:
    await host.supervise(max_launches=1)
    await host.create("instance-0")
    first = await host.launched("instance-0")
    await host.create("instance-1")
    await host.register_guest(first)
    await host.pass_time(2_000)
    assert host.runner.alive == [first]
    first.end(-9)  # it is due again, behind the one that has waited
    other = await host.launched("instance-1", advance_ms=100)
    assert host.runner.alive == [other]
    await complete(host, other)
    again = await host.launched("instance-0", epoch=2, advance_ms=100)
    await complete(host, again)


async def test_adopted_launches_count(host: SupervisedHost) -> None:
    doomed = await host.supervise(owner=host.owner(dead=True))
    await start_waiting(host, 2)
    adopted = [await host.launched(f"instance-{number}") for number in range(2)]

    async def are_recorded() -> bool:
        rows = [row for number in range(2) for row in await host.rows(f"instance-{number}")]
        return [row.phase for row in rows] == ["started", "started"]

    await host.until(are_recorded, "recorded")
    await doomed.close(stop_guests=False)
    supervisor = await host.supervise(max_launches=1)  # fewer than there are
    await host.create("instance-2")

    async def are_adopted() -> bool:
        return supervisor.live_count == 2

    await host.until(are_adopted, "adopted")
    for process in adopted:
        await host.pass_time(2_000)
        assert process in host.runner.alive
        assert "instance-2" not in {each.spec.instance_id for each in host.runner.alive}
        await complete(host, process)
    await complete(host, await host.launched("instance-2"))


async def test_a_full_host_leaves_what_is_due_to_another(host: SupervisedHost) -> None:
    await start_waiting(host, 4)
    full = await host.supervise(max_launches=1)
    await runs(host, 1)
    other = await host.supervise()
    await runs(host, 4)
    assert (full.live_count, other.live_count) == (1, 3)
