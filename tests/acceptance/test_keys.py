"""`ytempire key`: shown once, and never again."""

from tests.acceptance.line import Line


def test_key_is_shown_once_then_rotated_and_revoked(line: Line) -> None:
    made = line.json(
        "key", "create", "n8n", "--scope", "runs:write", "--scope", "runs:read",
        "--expires", "90d", "--signing-secret",
    )  # fmt: skip
    assert set(made) == {"id", "key", "prefix", "signing_secret"}
    assert made["key"].startswith(f"yte_{made['prefix']}_")
    assert made["signing_secret"].startswith("whsec_")

    listed = line.run("key", "list", "--json")
    assert made["prefix"] in listed
    assert made["key"] not in listed
    assert made["signing_secret"] not in listed

    assert "in use" in line.refuse("key", "create", "n8n", "--scope", "runs:read", code=4)
    assert "no scope" in line.refuse("key", "create", "x", "--scope", "all", code=2)
    assert "past" in line.refuse(
        "key", "create", "x", "--scope", "runs:read", "--expires", "2020-01-01", code=2
    )
    rotated = line.json("key", "rotate", "n8n")
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    line.run("key", "revoke", "n8n")
    line.refuse("key", "revoke", "n8n", code=3)
    line.refuse("key", "rotate", "n8n", code=3)
