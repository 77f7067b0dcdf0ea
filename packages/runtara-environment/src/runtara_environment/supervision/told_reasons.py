"""Why instances are not launched, told once: the same reason would else fill the log at every further try."""

from __future__ import annotations

from collections import OrderedDict

MAX_TOLD = 10_000
"""Instances that are remembered; of more, those that were tried longest ago are told of anew."""


class ToldReasons:
    """The last reason that was told of each instance."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, int] = OrderedDict()

    def is_new(self, instance_id: str, reason: str) -> bool:
        """Whether this is another reason than the last time; it is remembered."""
        # By its hash: reasons may be long.
        same = self._told.get(instance_id) == hash(reason)
        self._told[instance_id] = hash(reason)
        self._told.move_to_end(instance_id)
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return not same

    def forget(self, instance_id: str) -> None:
        """It has been launched, or will not be any more."""
        self._told.pop(instance_id, None)
