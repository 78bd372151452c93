"""n8n as a callback meets it: resume addresses of executions that run, wait or have ended.

What it answers, word for word, is what n8n 1.123 answers; the token in the query is that of 2.x.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.services.local_http import LocalServer, Reply, Request, as_json


@dataclass
class Execution:
    """One execution of a workflow; `early` is how often it is still running when it is asked."""

    id: str
    token: str | None = None
    state: str = "waiting"
    early: int = 0
    resumed: list[dict[str, Any]] = field(default_factory=list)
    then: str = "finished"


class N8nServer(LocalServer):
    """Executions by id; `hooks` are production webhooks: their path and what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.executions: dict[str, Execution] = {}
        self.hooks: dict[str, Callable[[Request], Reply]] = {}

    @property
    def place(self) -> str:
        """`host:port`, as the allow-list has it."""
        return self.root.removeprefix("http://")

    def add(self, execution: Execution) -> str:
        """Its resume address."""
        self.executions[execution.id] = execution
        query = f"?signature={quote(execution.token, safe='')}" if execution.token else ""
        return f"{self.root}/webhook-waiting/{execution.id}{query}"

    def bodies(self) -> list[dict[str, Any]]:
        """What was sent, in order, whatever was answered."""
        return [json.loads(request.body) for request in self.journal]

    def answer(self, request: Request) -> Reply:
        if request.path in self.hooks:
            return self.hooks[request.path](request)
        kind, _, id_ = request.path.strip("/").partition("/")
        if kind != "webhook-waiting":
            message = f'The requested webhook "{request.method} {kind}" is not registered.'
            return as_json({"code": 404, "message": message}, 404)
        execution = self.executions.get(id_)
        if execution is None:
            message = f'The execution "{id_}" does not exist.'
            return as_json({"code": 404, "message": message}, 404)
        if execution.token is not None and request.query.get("signature") != execution.token:
            return as_json({"error": "Invalid token"}, 401)
        if execution.early > 0 or execution.state == "running":
            execution.early -= 1
            message = f'The execution "{id_}" is running already.'
            return as_json({"code": 409, "message": message}, 409)
        if execution.state == "error":
            message = f'The execution "{id_}" has finished with error.'
            return as_json({"code": 409, "message": message}, 409)
        if execution.state == "finished":
            message = f'The execution "{id_} has finished already.'  # sic: n8n leaves a quote out
            return as_json({"code": 409, "message": message}, 409)
        execution.resumed.append(json.loads(request.body))
        execution.state = execution.then
        return as_json({"message": "Workflow was started"})
