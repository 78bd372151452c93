-- name: finding_list_orphans :many
-- parameters: none
-- Videos that are, or may be, at a host and that no run publishes any more; a person decides.
SELECT u.id, u.video_id, u.execution_id, u.youtube_video_id AS host_video_id, u.marker, u.status,
       a.channel_id AS host_channel_id, u.updated_at
  FROM video_uploads u
  JOIN workflow_executions e ON e.id = u.execution_id
  LEFT JOIN youtube_accounts a ON a.id = u.youtube_account_id
 WHERE (u.youtube_video_id IS NOT NULL AND u.status IN ('failed', 'abandoned', 'unknown'))
    OR (u.status = 'uploaded' AND e.status IN ('failed', 'timeout', 'cancelled'))
    OR (u.status IN ('uploading', 'unknown') AND e.status = 'cancelled'
        AND u.updated_at < clock_timestamp() - interval '10 minutes')
 ORDER BY u.updated_at DESC
 LIMIT 200;

-- name: finding_list_unknown_calls :many
-- parameters: none
-- Calls whose outcome nobody knows, and those that should have settled by now.
SELECT c.id, s.execution_id, c.service, c.operation, c.status, c.settle_at, c.amount_reserved
  FROM provider_calls c
  JOIN workflow_steps s ON s.id = c.step_id
 WHERE c.status = 'unknown' OR (c.status = 'intent' AND c.settle_at < clock_timestamp())
 ORDER BY c.created_at
 LIMIT 200;

-- name: finding_list_stuck :many
-- parameters: long_seconds
-- Runs that do not go on, with what there is to tell about it: no live job, a job that nobody takes or
-- whose worker is gone, a deadline that has passed, no sign of progress, or a person who must act.
SELECT r.*
  FROM (SELECT e.id AS execution_id, e.status, e.current_step AS step, e.error_message,
               coalesce(e.heartbeat_at, e.created_at) AS since, j.status AS job_status,
               j.queue_name AS queue, q.paused_at IS NOT NULL AS queue_paused,
               (e.status = 'waiting' AND e.current_step = 'upload' AND e.approved_at IS NULL
                AND NOT c.auto_publish) AS review,
               coalesce(e.deadline_at < CASE e.status
                            WHEN 'running' THEN clock_timestamp()
                            ELSE coalesce(e.heartbeat_at, e.created_at) END, false) AS overdue,
               coalesce(j.status = 'pending'
                        AND greatest(j.next_retry_at, j.scheduled_for, j.updated_at)
                            < clock_timestamp() - make_interval(secs => $1::float8),
                        false) AS not_taken,
               coalesce(j.status = 'processing'
                        AND (w.id IS NULL OR w.stopped_at IS NOT NULL
                             OR w.last_heartbeat < clock_timestamp() - interval '1 minute'),
                        false) AS worker_gone,
               coalesce(e.status = 'running' AND e.heartbeat_at
                            < clock_timestamp() - 6 * make_interval(secs => $1::float8),
                        false) AS silent
          FROM workflow_executions e
          LEFT JOIN channels c ON c.id = e.channel_id
          LEFT JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = e.current_step
          LEFT JOIN queue.job_queue j ON j.id = s.job_id
          LEFT JOIN queue.job_workers w ON w.id = j.worker_id
          LEFT JOIN queue.queue_state q ON q.queue_name = j.queue_name
         WHERE e.status IN ('pending', 'queued', 'running', 'waiting', 'retrying')) r
 WHERE r.status = 'waiting' OR r.job_status IS NULL
    OR r.job_status NOT IN ('pending', 'processing')
    OR r.overdue OR r.not_taken OR r.worker_gone OR r.silent
 ORDER BY r.since
 LIMIT 200;

-- name: finding_now :one
-- parameters: none
SELECT clock_timestamp() AS now;

-- name: finding_count_workers :one
-- parameters: none
SELECT count(*) AS n
  FROM queue.job_workers
 WHERE stopped_at IS NULL AND last_heartbeat > clock_timestamp() - interval '30 seconds';
