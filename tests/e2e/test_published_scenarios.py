"""The scenarios that the product's own pages show: valid as they stand, and run when their addresses can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
ORDER = {"id": "P-1", "customer": "Ada", "total": 3}
SCENARIOS = ("order-processing", "order-processing-short", "data-processing")


@pytest.mark.parametrize("name", SCENARIOS)
def test_validates_without_an_error(product, name) -> None:
    finished = product.run("runtara", "compile", "--workflow", FIXTURES / f"{name}.json", "--validate", "--json")
    assert finished.exit_code == 0, finished
    assert finished.output["valid"] is True
    assert finished.output["errors"] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_runs_against_a_service_that_answers(product, service, name) -> None:
    text = (FIXTURES / f"{name}.json").read_text(encoding="utf-8").replace("https://api.example.com", service.url)
    data = product.write("input.json", {"order": ORDER, "endpoint": f"{service.url}/calls"})
    finished = product.run("runtara", "run", product.write(f"{name}.json", text), "--input", f"@{data}")
    assert finished.exit_code == 0, finished
    assert finished.errors == []
    result = finished.output["result"]
    response = result["result"] if name == "data-processing" else result
    assert response["status_code"] == 200
    if name == "data-processing":
        assert response["body"] == {"calls": {}, "orders": {}}
    else:
        assert (service.calls("/validate"), service.calls("/notify")) == (1, 1)
    if name == "order-processing":
        assert service.calls("/validate", "P-1") == 1, "a request with a body and no method is a POST"
