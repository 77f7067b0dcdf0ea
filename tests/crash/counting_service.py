"""The outside world: a service that counts what is done to it, and what may be done to it again after a kill."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class CountingService:
    """The order service of the examples, in this process; it survives every kill and counts."""

    def __init__(self) -> None:
        spec = importlib.util.spec_from_file_location("order_service", REPOSITORY / "examples" / "order_service.py")
        assert spec is not None
        assert spec.loader is not None
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        self._service = example.OrderService(0)
        self._service.handle_error = lambda *_: None  # callers are killed in the middle of their calls
        threading.Thread(target=self._service.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._service.server_address[1]}"

    def counts(self, path: str = "/orders") -> dict[str, int]:
        """Calls for each order."""
        found: dict[str, int] = self._service.counts()["orders"].get(path, {})
        return found

    def assert_exactly_once(self, orders: int, losses: Losses | None = None) -> None:
        """Every order came; none again that was checkpointed before a kill, and not more than one again per kill."""
        counts = self.counts()
        assert set(counts) == {f"order-{number}" for number in range(orders)}
        again = {order: count for order, count in counts.items() if count > 1}
        kills, final = (0, {}) if losses is None else (losses.kills, losses.final)
        assert {order: counts[order] for order in final} == final, "processed again although checkpointed"
        assert sum(again.values()) - len(again) <= kills, f"{kills} kills, processed again: {again}"

    def close(self) -> None:
        """Stop."""
        self._service.shutdown()
        self._service.server_close()


class Losses:
    """What was durable when processes of an instance were killed, and how many times that happened."""

    def __init__(self, service: CountingService) -> None:
        self._service = service
        self.kills = 0
        self.final: dict[str, int] = {}
        """Calls for each order whose checkpoint existed at a kill: no further one may follow."""

    def remember(self, checkpoints: set[str]) -> None:
        """Take down what is durable now, before a kill."""
        counts = self._service.counts()
        for order in checkpoints & counts.keys():
            self.final.setdefault(order, counts[order])
