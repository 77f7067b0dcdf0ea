"""Whether what is installed has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from runtara_environment.agents.installed_state import InstalledState
from runtara_sdk.testing.plugin_site import PluginSite


def test_what_installers_and_authors_do_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = tmp_path / "agent.py"
    source.write_text("one")
    looks = [InstalledState.look([str(source)])]
    assert InstalledState.look([str(source)]) == looks[0]

    PluginSite(tmp_path).describe("acme-weather", "[runtara.agents]\nweather = weather\n")
    looks.append(InstalledState.look([str(source)]))
    (tmp_path / "acme_weather-1.2.dist-info" / "entry_points.txt").write_text("")
    looks.append(InstalledState.look([str(source)]))
    source.write_text("other")
    looks.append(InstalledState.look([str(source)]))
    source.unlink()
    looks.append(InstalledState.look([str(source)]))
    assert all(one != other for index, one in enumerate(looks) for other in looks[index + 1 :])


def test_a_change_during_a_look_is_told_apart_from_times_in_the_future(tmp_path: Path) -> None:
    source = tmp_path / "agent.py"
    source.write_text("one")
    now = time.time_ns()
    for changed_at, expected in ((now - 10**12, False), (now, True), (now + 10**12, False)):
        os.utime(source, ns=(changed_at, changed_at))
        state = InstalledState(
            frozenset(entry for entry in InstalledState.look([str(source)]).entries if entry[0] == str(source))
        )
        assert state.has_changed_between(now - 10**9, now + 10**9) is expected
