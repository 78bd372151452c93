"""Between Procrastinate's words and ours: queries to statements, statuses, priorities, arguments.

The 22 queries of Procrastinate 3.10 are compared with our statements when a connector opens, so
that a new version that asks for something else is refused at start-up and not at three in the
morning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from procrastinate import exceptions, sql

from db.statements import Statement, load

STATUS_TO_PROCRASTINATE = {
    "pending": "todo",
    "processing": "doing",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "aborted": "aborted",
}
STATUS_FROM_PROCRASTINATE = {theirs: ours for ours, theirs in STATUS_TO_PROCRASTINATE.items()}
DEFAULT_PRIORITY = 5

# Queries whose placeholders are not the parameters of our statement: a list of jobs becomes one
# array a column, and LISTEN takes an identifier.
OWN_PLACEHOLDERS = {
    "defer_jobs": frozenset({"jobs"}),
    "listen_queue": frozenset({"channel_name"}),
}
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


class QueryMismatch(exceptions.ConnectorException):
    """The installed Procrastinate asks for something that db/sql/job_queue.sql does not answer."""


def placeholders(query: str) -> frozenset[str]:
    """The names of the arguments that a query of Procrastinate takes."""
    return frozenset(first or second for first, second in _PLACEHOLDER.findall(query))


def compare(queries: Mapping[str, str], statements: Mapping[str, Statement]) -> None:
    """Raise QueryMismatch, naming each query that has no statement or takes other arguments."""
    wrong = []
    for name, query in queries.items():
        wanted = placeholders(query)
        if name in OWN_PLACEHOLDERS:
            known = OWN_PLACEHOLDERS[name]
        elif name in statements:
            known = frozenset(statements[name].parameters)
        else:
            wrong.append(f"{name} is new")
            continue
        if wanted != known:
            wrong.append(f"{name} takes ({_listed(wanted)}), its statement ({_listed(known)})")
    if wrong:
        raise QueryMismatch(
            "this version of Procrastinate does not fit db/sql/job_queue.sql: "
            + "; ".join(wrong)
            + ". Install procrastinate 3.10, or write the statement."
        )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


@cache
def query_names() -> dict[str, str]:
    """The name of each query of Procrastinate, by its text: Procrastinate passes the text."""
    compare(sql.queries, load("job_queue"))
    return {query: name for name, query in sql.queries.items()}


def name_of(query: str) -> str:
    """The name of a query's text; ConnectorException for SQL that is none of Procrastinate's."""
    try:
        return query_names()[query]
    except KeyError:
        first_line = query.strip().partition("\n")[0][:80]
        raise exceptions.ConnectorException(
            "the job queue lives in queue.job_queue and is changed by migrations "
            f"(ytempire db migrate); it runs Procrastinate's named queries only, not: {first_line}"
        ) from None


def to_column_priority(priority: int) -> int:
    """Procrastinate's priority (any int, higher first, 0 usual) as ours (1 first, 10 last)."""
    return max(1, min(10, DEFAULT_PRIORITY - priority))


def translate_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A query's arguments with statuses and priorities in our words."""
    ours = dict(arguments)
    for key in ("priority", "new_priority"):
        if ours.get(key) is not None:
            ours[key] = to_column_priority(ours[key])
    if name == "finish_job" and ours["status"] not in ("succeeded", "failed", "aborted"):
        raise exceptions.ConnectorException(
            f"a job ends as succeeded, failed or aborted, not as {ours['status']}"
        )
    if ours.get("status") is not None:
        ours["status"] = _our_status(ours["status"])
    if "statuses" in ours:
        ours["statuses"] = [_our_status(status) for status in ours["statuses"]]
    if ours.get("queues") is not None:
        ours["queues"] = list(ours["queues"])
    return ours


def _our_status(status: str) -> str:
    try:
        return STATUS_FROM_PROCRASTINATE[status]
    except KeyError:
        raise exceptions.ConnectorException(
            f"there is no job status {status!r}; there are " + ", ".join(STATUS_FROM_PROCRASTINATE)
        ) from None
