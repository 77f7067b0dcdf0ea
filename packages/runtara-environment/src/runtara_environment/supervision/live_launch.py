"""A launch that the supervisor of this process watches."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from runtara_core.models import LeaseKey
from runtara_sdk.models import TerminationReason

from runtara_environment.runner import LaunchedProcess


@dataclass(slots=True)
class LiveLaunch:
    """One launch, from its claim until its end is reported.

    Attributes:
        key: instance and epoch.
        task: launches and watches it.
        process: the process, once it is started.
        stop_reason: why the process was told to end; None when nobody did.
        started: set when the process is there, or will never be.
        ending: ends the process.
        left_running_at_ms: when it was first seen that the instance is not running any more.
    """

    key: LeaseKey
    task: asyncio.Task[None] | None = None
    process: LaunchedProcess | None = None
    stop_reason: TerminationReason | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Task[None] | None = None
    left_running_at_ms: int | None = None


LiveLaunches = dict[str, LiveLaunch]
"""The newest launch of each instance, by instance id."""
