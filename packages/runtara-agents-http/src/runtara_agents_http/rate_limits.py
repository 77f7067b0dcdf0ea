"""The rate that a connection allows: `rate_limit_config` of `{requests_per_minute, burst_size}`.

Each connection has a bucket in this process: it holds `burst_size` requests and is filled at the rate. A request that
finds it empty waits for its turn, before its timeout begins. Nothing was sent yet, so a process that dies meanwhile has
lost nothing; a wait that is long is handed to the run time, which waits durably.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from runtara_sdk.agents import AgentError, CapabilityContext, RawConnection
from runtara_sdk.agents.errors import CAPABILITY_ERROR

from runtara_agents_http.tls import secret_digest

LONGEST_WAIT_MS = 60_000
"""Of a call that waits by itself; a longer wait is the transient error HTTP_RATE_LIMITED with that wait."""

_MOST_BUCKETS = 256


@dataclass(slots=True)
class _Bucket:
    per_ms: float
    size: float
    requests: float
    filled_ms: int

    def take(self, now_ms: int) -> int:
        """Take one request, which may be one that is not there yet; milliseconds until it is."""
        self.requests = min(self.size, self.requests + max(0, now_ms - self.filled_ms) * self.per_ms)
        self.filled_ms = now_ms
        self.requests -= 1
        return 0 if self.requests >= 0 else math.ceil(-self.requests / self.per_ms)

    def give_back(self) -> None:
        """Undo a `take`."""
        self.requests += 1


class RateLimits:
    """The buckets of the connections that a process uses."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    async def wait(self, connection: RawConnection, context: CapabilityContext) -> None:
        """Return when the connection allows one more request.

        Raises:
            AgentError: transient HTTP_RATE_LIMITED with `retry_after_ms` when that takes longer than
                `LONGEST_WAIT_MS`, permanent CAPABILITY_ERROR when the configuration cannot be read.
        """
        bucket = self._bucket(connection, context.clock.now_ms())
        if bucket is None:
            return
        wait_ms = bucket.take(context.clock.now_ms())
        if wait_ms > LONGEST_WAIT_MS:
            bucket.give_back()
            raise AgentError.transient(
                "HTTP_RATE_LIMITED",
                f"the connection allows the next request in {wait_ms} ms (rate_limit_config)",
                retry_after_ms=wait_ms,
            )
        if wait_ms:
            try:
                await context.clock.sleep(wait_ms / 1000)
            except BaseException:
                bucket.give_back()
                raise

    def _bucket(self, connection: RawConnection, now_ms: int) -> _Bucket | None:
        limits = _read(connection.rate_limit_config)
        if limits is None:
            return None
        per_minute, size = limits
        parameters = json.dumps(connection.parameters, sort_keys=True, default=str)
        key = secret_digest(connection.integration_id, parameters, str(limits))
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(per_minute / 60_000, size, size, now_ms)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


def _read(config: object) -> tuple[float, float] | None:
    """Requests a minute and size of the bucket; None without a limit."""
    if not isinstance(config, Mapping) or config.get("requests_per_minute") is None:
        return None
    per_minute, size = config["requests_per_minute"], config.get("burst_size")
    size = 1 if size is None else size
    for name, value, least in (("requests_per_minute", per_minute, 0.001), ("burst_size", size, 1)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 1e9:
            raise AgentError.permanent(
                CAPABILITY_ERROR, f"rate_limit_config of the connection: {name} must be a number from {least} to 1e9"
            )
    return float(per_minute), float(size)
