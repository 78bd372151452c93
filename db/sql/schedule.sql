-- name: schedule_list_due :many
-- parameters: now
-- Scheduled workflows whose time has come by this moment (NULL: by the database's clock), and those
-- whose next time is not known yet.
SELECT id
  FROM automation_workflows
 WHERE trigger_type = 'schedule' AND is_active
   AND (next_run_at IS NULL OR next_run_at <= coalesce($1, clock_timestamp()))
 ORDER BY next_run_at NULLS FIRST, id;

-- name: schedule_claim :maybe
-- parameters: workflow_id, now
-- Locked for the transaction, but not for the keys that runs refer to; None when another worker is
-- at it, or has been.
SELECT w.id, w.name, w.workflow_type, w.schedule_cron, w.timezone, w.catch_up, w.priority,
       w.configuration, w.next_run_at, c.name AS channel_name,
       coalesce($2, clock_timestamp()) AS now
  FROM automation_workflows w
  LEFT JOIN channels c ON c.id = w.channel_id
 WHERE w.id = $1 AND w.trigger_type = 'schedule' AND w.is_active
   AND (w.next_run_at IS NULL OR w.next_run_at <= coalesce($2, clock_timestamp()))
   FOR NO KEY UPDATE OF w SKIP LOCKED;

-- name: schedule_set_next :exec
-- parameters: workflow_id, next_run_at
UPDATE automation_workflows SET next_run_at = $2 WHERE id = $1;

-- name: schedule_set_outcome :exec
-- parameters: workflow_id, status, error
UPDATE automation_workflows
   SET last_run_at = now(), last_run_status = $2, last_error = $3
 WHERE id = $1;

-- name: schedule_refresh_outcomes :exec
-- parameters: none
-- What became of each workflow's latest run, unless a later one could not be started.
UPDATE automation_workflows w
   SET last_run_at = e.created_at, last_run_status = e.status, last_error = e.error_message
  FROM (SELECT x.id AS workflow_id, latest.created_at, latest.status, latest.error_message
          FROM automation_workflows x
         CROSS JOIN LATERAL (SELECT r.created_at, r.status, r.error_message
                               FROM workflow_executions r
                              WHERE r.workflow_id = x.id
                              ORDER BY r.created_at DESC, r.id DESC
                              LIMIT 1) latest) e
 WHERE w.id = e.workflow_id AND e.created_at >= coalesce(w.last_run_at, '-infinity')
   AND (w.last_run_at, w.last_run_status, w.last_error)
       IS DISTINCT FROM (e.created_at, e.status, e.error_message);

-- name: production_list :many
-- parameters: now
-- Channels that may produce by themselves, with the time it is.
SELECT c.id, c.name, c.timezone, c.auto_publish, c.videos_per_day, c.upload_schedule,
       c.slots_handled_until, coalesce($1, clock_timestamp()) AS now
  FROM channels c
 WHERE c.status = 'active' AND c.automation_enabled AND c.videos_per_day > 0
   AND c.deleted_at IS NULL AND c.upload_schedule ? 'times'
 ORDER BY c.name;

-- name: production_claim :maybe
-- parameters: channel_id, now
-- The same row, locked for the transaction; None when another worker is at it, or it may no longer.
SELECT c.id, c.name, c.timezone, c.auto_publish, c.videos_per_day, c.upload_schedule,
       c.slots_handled_until, coalesce($2, clock_timestamp()) AS now
  FROM channels c
 WHERE c.id = $1 AND c.status = 'active' AND c.automation_enabled AND c.videos_per_day > 0
   AND c.deleted_at IS NULL AND c.upload_schedule ? 'times'
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: production_count :one
-- parameters: channel_id, prefix
-- Runs that slots of a day began, whatever became of them. No slot is begun more than eight days
-- ahead.
SELECT count(*) AS n
  FROM workflow_executions e
 WHERE e.channel_id = $1 AND starts_with(e.idempotency_key, $2)
   AND e.created_at > clock_timestamp() - interval '20 days';

-- name: production_set_handled :exec
-- parameters: channel_id, until
UPDATE channels SET slots_handled_until = $2 WHERE id = $1;
