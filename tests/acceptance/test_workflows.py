"""`ytempire workflow`: named, shown, switched off and on."""

from tests.acceptance.line import Line


def test_workflow_is_added_shown_and_switched(line: Line) -> None:
    line.add_small_channel()
    added = line.json(
        "workflow", "add", "daily", "--type", "content_generation", "--channel", "small",
        "--priority", "3", "--config", '{"topic": "Rain"}',
    )  # fmt: skip
    assert (added["name"], added["channel_name"], added["priority"]) == ("daily", "small", 3)
    assert [item["name"] for item in line.json("workflow", "list")["items"]] == ["daily", "line"]
    line.run("workflow", "disable", "daily")
    assert line.json("workflow", "show", "daily")["is_active"] is False
    line.run("workflow", "enable", "daily")
    shown = line.json("workflow", "show", "daily")
    assert (shown["is_active"], shown["configuration"]) == (True, {"topic": "Rain"})


def test_workflow_that_cannot_be_is_refused(line: Line) -> None:
    assert "address" in line.refuse("workflow", "add", "a/b", code=2)
    assert "cannot be triggered" in line.refuse("workflow", "add", "x", "--type", "tea", code=2)
    assert "priority" in line.refuse("workflow", "add", "x", "--config", '{"priority": 0}', code=2)
    assert "not JSON" in line.refuse("workflow", "add", "x", "--config", "{", code=2)
    line.refuse("workflow", "add", "x", "--channel", "nowhere", code=3)
    assert "already" in line.refuse("workflow", "add", "line", code=4)
    for verb in ("show", "enable", "disable"):
        line.refuse("workflow", verb, "nothing", code=3)
