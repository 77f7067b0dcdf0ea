"""The files of old launches do not pile up."""

from pathlib import Path

from runtara_environment.runners.launch_directory import KEPT_LAUNCHES, LaunchDirectory, old_launches, remove_launches
from runtara_environment.testing.supervised_host import SupervisedHost


def test_the_newest_launches_stay(tmp_path: Path) -> None:
    for epoch in (9, 10, 11, 2, 1, 8, 100):
        LaunchDirectory(tmp_path, epoch).create()
    (tmp_path / "launch-notes").mkdir()
    (tmp_path / "input.json").write_text("{}")
    assert old_launches(tmp_path) == [1, 2]
    remove_launches(tmp_path, old_launches(tmp_path))
    assert old_launches(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == KEPT_LAUNCHES + 2


async def test_a_launch_removes_the_old_ones_but_not_the_unreported(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    (row,) = await host.rows()
    run_directory = Path(row.run_directory)
    host.runner.hold.clear()
    process.end(1)

    async def intended() -> bool:
        return any(row.epoch == 2 for row in await host.rows())

    # From here on only the second launch looks for old ones, and it has not begun to.
    await host.until(intended, "launch 2 is recorded")
    for epoch in range(1, KEPT_LAUNCHES + 4):
        LaunchDirectory(run_directory, epoch).path.mkdir(exist_ok=True, parents=True)
    host.runner.hold.set()
    await host.launched(epoch=2)

    async def pruned() -> bool:
        return not (run_directory / "launch-3").exists()

    await host.until(pruned, "removed")
    # Epoch 2 is under way, although its number is an old one here.
    kept = {f"launch-{epoch}" for epoch in (2, *range(4, KEPT_LAUNCHES + 4))}
    assert kept <= {path.name for path in run_directory.glob("launch-*")}
