"""The names of all tasks, for those who enqueue: to know them, nothing that does them is loaded."""

from pipeline.flow import ROUTES

ACCOUNTS = "maintenance.accounts"
API_DATA = "maintenance.api_data"
CALLBACK_DELIVER = "callback.deliver"
EXTRAS = "maintenance.extras"
NOOP = "maintenance.noop"
QUOTA_DAY = "maintenance.quota_day"
PRUNE = "maintenance.prune"
RECONCILE = "maintenance.reconcile"
SCHEDULE = "maintenance.schedule"
SETTLE_UPLOAD = "maintenance.settle_upload"
SWEEP_ARTIFACTS = "maintenance.sweep_artifacts"
TREND_EXPIRY = "maintenance.trend_expiry"
TREND_INGEST = "maintenance.trend_ingest"
VIDEO_ANALYTICS = "analytics.pull"

TASK_NAMES = frozenset(
    {
        ACCOUNTS,
        API_DATA,
        CALLBACK_DELIVER,
        EXTRAS,
        NOOP,
        PRUNE,
        QUOTA_DAY,
        RECONCILE,
        SCHEDULE,
        SETTLE_UPLOAD,
        SWEEP_ARTIFACTS,
        TREND_EXPIRY,
        TREND_INGEST,
        VIDEO_ANALYTICS,
        *(route.job_type for route in ROUTES.values()),
    }
)
