"""The shipped n8n workflows: n8n can import them, and what they say to us exists.

They were run on n8n 1.123 as docs/how-to/n8n.md tells; this keeps them true to our HTTP.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.pool import Pool, transaction
from tests.integration.web.conftest import Service
from tests.integration.workers.runs import begin
from workers.callbacks.announcing import announce_run

FOLDER = Path(__file__).parents[3] / "deploy" / "n8n"
FILES = sorted(FOLDER.glob("*.json"))
NAMES = {"trigger-and-wait", "daily-production", "alert-on-failure", "approve-by-email"}
#: The versions that n8n 1.123 writes or reads, and 2.x still reads.
VERSIONS: Mapping[str, set[float]] = {
    "manualTrigger": {1},
    "scheduleTrigger": {1.2},
    "webhook": {2},
    "set": {3.4},
    "httpRequest": {4.2},
    "wait": {1.1},
    "if": {2.2},
    "stopAndError": {1},
    "splitOut": {1},
    "removeDuplicates": {2},
    "emailSend": {2.1},
    "noOp": {1},
}
TRIGGERS = {"manualTrigger", "scheduleTrigger", "webhook"}
OURS = re.compile(r"ytempire_url \}\}(?P<path>/[^\"]*)")
EXPRESSION = re.compile(r"\{\{ .*? \}\}")
BODY_KEYS = re.compile(r"[{,] (\w+):")
CALLBACK_FIELD = re.compile(r"body\.data\.(\w+(?:\.\w+)*)")
CONFIGURED = re.compile(r"\$\('([^']+)'\)")


def load(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def kind(node: Mapping[str, Any]) -> str:
    prefix, _, name = str(node["type"]).rpartition(".")
    assert prefix == "n8n-nodes-base"
    return name


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from strings(each)
        case list():
            for each in value:
                yield from strings(each)


def test_all_four_are_shipped() -> None:
    assert {file.stem for file in FILES} == NAMES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_has_what_n8n_imports(file: Path) -> None:
    document = load(file)
    assert {"id", "name", "nodes", "connections", "settings", "active"} <= set(document)
    assert document["active"] is False
    nodes = {node["name"]: node for node in document["nodes"]}
    assert len(nodes) == len({node["id"] for node in document["nodes"]}) == len(document["nodes"])
    for node in nodes.values():
        assert node["typeVersion"] in VERSIONS[kind(node)], node["name"]
        assert len(node["position"]) == 2
        waits = kind(node) in ("webhook", "wait") or node["parameters"].get("operation") == (
            "sendAndWait"
        )
        assert ("webhookId" in node) == waits, node["name"]
        if node["parameters"].get("genericAuthType") or "incoming" in json.dumps(node):
            assert "httpHeaderAuth" in node["credentials"]
    assert not any("yte_" in text or "whsec_" in text for text in strings(document))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_node_is_reached_from_a_trigger(file: Path) -> None:
    document = load(file)
    nodes = {node["name"]: node for node in document["nodes"]}
    followers: dict[str, set[str]] = {name: set() for name in nodes}
    for source, outputs in document["connections"].items():
        assert source in nodes
        for link in (link for output in outputs["main"] for link in output):
            assert (link["type"], link["index"]) == ("main", 0)
            assert link["node"] in nodes
            followers[source].add(link["node"])
        branches = 2 if kind(nodes[source]) == "if" else len(outputs["main"])
        assert len(outputs["main"]) == branches, f"{source} lacks a branch"
    reached = {name for name, node in nodes.items() if kind(node) in TRIGGERS}
    assert reached
    todo = list(reached)
    while todo:
        for name in followers[todo.pop()] - reached:
            reached.add(name)
            todo.append(name)
    assert reached == set(nodes)
    for text in strings(document["nodes"]):
        assert set(CONFIGURED.findall(text)) <= set(nodes)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_requests_are_those_of_the_served_openapi(service: Service, file: Path) -> None:
    served = httpx.get(f"{service.address}/openapi.json", trust_env=False).json()["paths"]
    for node in load(file)["nodes"]:
        if kind(node) != "httpRequest":
            continue
        parameters = node["parameters"]
        ours = OURS.search(parameters["url"])
        if ours is None:
            assert parameters["url"] == "={{ $json.n8n_url }}/webhook/ytempire-review"
            continue
        path = EXPRESSION.sub("{}", ours["path"])
        known = {re.sub(r"\{\w+\}", "{}", each): each for each in served}
        operation = served[known[path]][parameters["method"].lower()]
        assert node["credentials"]["httpHeaderAuth"]["name"] == "ytempire API key"
        content = operation.get("requestBody", {}).get("content", {})
        taken = content.get("application/json", {}).get("schema", {}).get("properties", {})
        sent = BODY_KEYS.findall(parameters.get("jsonBody", ""))
        assert set(sent) <= set(taken), node["name"]
        assert bool(sent) == bool(parameters.get("sendBody"))
        if operation.get("requestBody", {}).get("required"):
            assert sent
        whole = parameters["options"].get("response", {}).get("response", {}).get("fullResponse")
        # n8n takes an answer with a field named error, null or not, for a failure to be retried.
        assert whole or not node.get("retryOnFail") or path == "/v1/runs"
        if path == "/v1/runs":
            (header,) = parameters["headerParameters"]["parameters"]
            assert header["name"] == "Idempotency-Key"


async def test_fields_that_are_read_are_in_the_callback(stored: Pool) -> None:
    run = (await begin(stored)).execution_id
    async with transaction(stored) as connection:
        await connection.execute(
            "UPDATE workflow_executions SET status = 'waiting', callback_url = 'https://a.example/'"
            " WHERE id = $1",
            run,
        )
        await announce_run(connection, execution_id=run)
        body = await connection.fetchval(
            "SELECT body FROM webhook_deliveries WHERE execution_id = $1 LIMIT 1", run
        )
    read = 0
    for file in FILES:
        for text in strings(load(file)):
            for field in CALLBACK_FIELD.findall(text):
                value: Any = body["data"] | {"preview_url": None}
                for name in field.split("."):
                    assert name in value, f"{file.stem} reads {field}"
                    value = value[name]
                read += 1
    assert read > 10
