"""The example of the README."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtara_agents_http import HttpResponse, http_agent
from runtara_agents_http.address_guard import ALLOWED_NETWORKS_VARIABLE, PRIVATE_NETWORKS_VARIABLE
from runtara_agents_http.connection_types import ALIASES, CONNECTION_TYPES

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


def test_the_readme_names_every_input_error_and_parameter() -> None:
    text = README.read_text()
    [request] = [each for each in http_agent.capabilities if each.id == "http-request"]
    names = {field.name for field in request.fields if not field.hidden} | set(HttpResponse.model_fields)
    names |= {error.code for error in request.known_errors if not error.code.startswith(("FILE_", "WORKSPACE_"))}
    names |= {each.integration_id for each in CONNECTION_TYPES}
    names |= {field.name for each in CONNECTION_TYPES for field in each.fields} | set(ALIASES)
    names |= {ALLOWED_NETWORKS_VARIABLE, PRIVATE_NETWORKS_VARIABLE}
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()
