"""Decimals pass through a scenario as they were written, from input and scenario through agents and events."""

from __future__ import annotations

from runtara_compiler.compilation import CompilationInput, generate_source
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.testing.trial import Trial, try_workflow
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.written_decimal import dump_json

# As text, because a test's own parser must not touch the numbers.
SCENARIO = """{
  "entryPoint": "each",
  "variables": {"vat": {"type": "number", "value": 0.190}},
  "inputSchema": {"price": {"type": "number", "required": true}, "fee": {"type": "number", "default": 2.50},
    "amounts": {"type": "array"}, "spelled": {"type": "string"}, "none": {"type": "number"}},
  "steps": {
    "each": {"stepType": "Split",
      "config": {"value": {"valueType": "reference", "value": "data.amounts"}},
      "subgraph": {"entryPoint": "same", "steps": {
        "same": {"stepType": "Agent", "agentId": "transform", "capabilityId": "map-fields", "inputMapping": {
          "source_data": {"valueType": "composite", "value": {"amount": {"valueType": "reference", "value": "data"}}},
          "mappings": {"valueType": "immediate", "value": {"amount": "kept"}}}},
        "end": {"stepType": "Finish", "inputMapping": {
          "amount": {"valueType": "reference", "value": "steps.same.outputs.result.kept"}}}},
        "executionPlan": [{"fromStep": "same", "toStep": "end"}]}},
    "tell": {"stepType": "Log", "message": "told", "context": {
      "price": {"valueType": "reference", "value": "data.price"}}},
    "end": {"stepType": "Finish", "inputMapping": {
      "price": {"valueType": "reference", "value": "data.price"},
      "fee": {"valueType": "reference", "value": "data.fee"},
      "vat": {"valueType": "reference", "value": "variables.vat"},
      "each": {"valueType": "reference", "value": "steps.each.outputs"},
      "rate": {"valueType": "immediate", "value": {"usual": 1.10, "small": 0.00000000000000000000000000000123456789}},
      "text": {"valueType": "reference", "value": "data.price", "type": "string"},
      "number": {"valueType": "reference", "value": "data.spelled", "type": "number"},
      "missing": {"valueType": "reference", "value": "data.none", "default": 7.70},
      "printed": {"valueType": "template", "value": "{{ data.price }} EUR"}}}
  },
  "executionPlan": [{"fromStep": "each", "toStep": "tell"}, {"fromStep": "tell", "toStep": "end"}]
}"""
INPUT = '{"price": 19.90, "spelled": "3.1400", "amounts": [1.10, 12345678901234567890.12345678901234567890, 5e+3, 1.5]}'


async def test_decimals_pass_through_as_they_were_written() -> None:
    compilation = CompilationInput("trial", "decimals", 1, SCENARIO)
    outcome = await try_workflow(load_workflow(compilation), Trial(data=decode_json(INPUT)))
    assert outcome.error is None
    assert dump_json(outcome.output, separators=(",", ":")) == (
        '{"price":19.90,"fee":2.50,"vat":0.190,'
        '"each":[{"amount":1.10},{"amount":12345678901234567890.12345678901234567890},{"amount":5e+3},{"amount":1.5}],'
        '"rate":{"usual":1.10,"small":0.00000000000000000000000000000123456789},'
        '"text":"19.90","number":3.1400,"missing":7.70,"printed":"19.90 EUR"}'
    )
    (told,) = [event for event in outcome.events if event["type"] == "workflow_log"]
    assert dump_json(told["context"]) == '{"price": 19.90}'


def test_a_scenario_with_another_text_of_a_number_is_another_scenario() -> None:
    sources = {
        generate_source(CompilationInput("trial", "decimals", 1, SCENARIO.replace("1.10", text)))
        for text in ("1.1", "1.10", "1.100")
    }
    assert len(sources) == 3
