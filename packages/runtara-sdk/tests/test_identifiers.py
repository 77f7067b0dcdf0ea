import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import path_component, refuse_empty, validate_identifier


@pytest.mark.parametrize("value", ["a", "__system__", "order-42", "2f1c...".rstrip("."), "a.b:c@d+e=f~g,h", "x" * 200])
def test_accepted(value: str) -> None:
    assert validate_identifier("instance_id", value) == value


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a..b", "a/b", "../x", "-rf", "~x", " a", "a b", "a\n", "a\0", "\u00e9", "a\\b", "x" * 201]
)
def test_refused(value: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate_identifier("instance_id", value)
    assert str(caught.value).startswith("instance_id")
    assert "\n" not in str(caught.value)


def test_path_components_are_plain_where_possible_and_never_shared() -> None:
    assert path_component("tenant_id", "acme-1") == "acme-1"
    values = ["images", "runtara.db", "x" * 101, "x" * 102, "layers", "host-id"]
    components = [path_component("tenant_id", value) for value in values]
    assert len(set(components)) == len(values)
    assert not set(components) & set(values)
    assert all(len(component) <= 100 and "/" not in component for component in components)
    with pytest.raises(InvalidInputError):
        path_component("tenant_id", "..")


def test_the_empty_text_is_no_way_to_leave_an_id_out():
    assert refuse_empty("instance_id", None) is None
    assert refuse_empty("instance_id", "a") == "a"
    with pytest.raises(InvalidInputError, match="instance_id is empty: give an id, or leave it out"):
        refuse_empty("instance_id", "")
