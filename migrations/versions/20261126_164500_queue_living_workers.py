"""Call no worker dead that holds its session lock and is heard, whatever its row says.

A row deleted or marked as stopped by hand, or by a prune with a short patience, made the others
take the jobs of a living worker, again and again, until three such crashes quarantined them.
"""

from alembic import op

revision = "20261126_164500"
down_revision = "20261126_163617"
branch_labels = None
depends_on = None

DEAD_WORKERS = """
CREATE OR REPLACE FUNCTION queue.job_dead_workers()
RETURNS TABLE (worker_id bigint, evidence text) LANGUAGE sql VOLATILE AS $$
    WITH owners AS MATERIALIZED (
        SELECT DISTINCT j.worker_id AS id FROM queue.job_queue j WHERE j.status = 'processing'),
    suspects AS MATERIALIZED (
        SELECT o.id, w.name, w.host, w.pid, w.last_heartbeat, w.stopped_at,
               w.last_heartbeat < clock_timestamp() - interval '30 seconds' AS silent
        FROM owners o LEFT JOIN queue.job_workers w ON w.id = o.id
        WHERE w.id IS NULL OR w.stopped_at IS NOT NULL
           OR w.last_heartbeat < clock_timestamp() - interval '3 seconds')
    SELECT s.id, format('worker %s (%s on %s, pid %s) %s', s.id, coalesce(s.name, '?'),
        coalesce(s.host, '?'), coalesce(s.pid::text, '?'),
        CASE WHEN s.last_heartbeat IS NULL THEN 'is unknown'
             WHEN s.stopped_at IS NOT NULL THEN 'had stopped at ' || s.stopped_at
             ELSE 'died; its last heartbeat was at ' || s.last_heartbeat END)
    FROM suspects s
    WHERE {certain} s.silent
       OR NOT EXISTS (
           SELECT FROM pg_locks l
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
             AND l.classid = queue.job_worker_lock_class()::oid AND l.objid = s.id::oid
             AND l.database = (
                 SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
$$;
COMMENT ON FUNCTION queue.job_dead_workers IS '{comment}';
"""
COMMENT = (
    "Owners of running jobs that are gone: silent for 30 s; or without their session lock and "
    "silent for 3 s, stopped or unknown"
)
OLD_COMMENT = (
    "Owners of running jobs that are gone: unknown, stopped, silent for 30 s, or silent for 3 s "
    "without their session lock"
)


def upgrade() -> None:
    op.execute(DEAD_WORKERS.format(certain="", comment=COMMENT))


def downgrade() -> None:
    op.execute(
        DEAD_WORKERS.format(
            certain="s.last_heartbeat IS NULL OR s.stopped_at IS NOT NULL OR", comment=OLD_COMMENT
        )
    )
