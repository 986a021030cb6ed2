"""The form of a run that waits, as the UIs get it."""

from tasks.approval import ApprovalForm


def test_the_select_of_the_form_is_labelled_decision_by_its_field_and_by_what_it_refers_to():
    schema = ApprovalForm.model_json_schema()
    assert schema["properties"]["decision"]["$ref"] == "#/$defs/Decision"
    assert schema["$defs"]["Decision"]["title"] == "Decision"
    assert schema["$defs"]["Decision"]["enum"] == ["approve", "reject"]
    assert [each.get("title") for name, each in schema["properties"].items() if name != "decision"] == [
        "Name",
        "Reason",
    ]
