"""The example of the README."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .http_server import Server

README = Path(__file__).parents[3] / "packages/runtara-agents-http/README.md"


def _python_blocks(readme: Path) -> Iterable[str]:
    return re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)


async def test_the_readme_example_runs(server: Server) -> None:
    server.answer("/orders", status=201, body={"id": 12})
    [block] = _python_blocks(README)
    program = block.replace("https://api.example.com", server.url).replace("asyncio.run(main())", "")
    names: dict[str, Any] = {}
    exec(compile(program, str(README), "exec"), names)
    assert await names["main"]() == {"id": 12}
    [request] = server.received
    assert (request.method, request.body) == ("POST", b'{"sku":7,"quantity":2}')
