import json

from runtara_sdk.instance_error import InstanceError

CHILD = {"code": "KID", "message": "no\nstock", "category": "permanent", "stepId": "e"}
OUTER = {
    "code": "CHILD_SCENARIO_FAILED",
    "message": "the child failed",
    "category": "transient",
    "severity": "warning",
    "stepId": "c",
    "attempts": 3,
    "childError": CHILD,
}


def test_an_error_object_is_read_with_its_causes():
    error = InstanceError.parse(json.dumps(OUTER))
    assert (error.code, error.category, error.severity, error.step_id) == (
        "CHILD_SCENARIO_FAILED",
        "transient",
        "warning",
        "c",
    )
    assert error.as_json() == OUTER
    assert error.lines() == [
        "step 'c': the child failed after 3 attempts [CHILD_SCENARIO_FAILED]; it may pass: start anew",
        "  caused by: step 'e': no stock [KID]",
    ]


def test_a_text_stays_a_text():
    for text in ("no stock", "[1]", "{}", '{"message": 5}', "{" * 5000):
        error = InstanceError.parse(text)
        assert (error.details, error.message, error.code) == (None, text, None)
        assert error.as_json() == text
    assert InstanceError.parse("two\nlines").lines() == ["two lines"]
