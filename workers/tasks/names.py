"""The names of all tasks, for those who enqueue: to know them, nothing that does them is loaded."""

from pipeline.flow import ROUTES

NOOP = "maintenance.noop"
PRUNE = "maintenance.prune"
RECONCILE = "maintenance.reconcile"
TREND_EXPIRY = "maintenance.trend_expiry"
TREND_INGEST = "maintenance.trend_ingest"

TASK_NAMES = frozenset(
    {NOOP, PRUNE, RECONCILE, TREND_EXPIRY, TREND_INGEST}
    | {route.job_type for route in ROUTES.values()}
)
