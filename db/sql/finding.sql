-- name: finding_list_orphans :many
-- parameters: none
-- Videos at a host that no run publishes any more; a person deletes them there.
SELECT u.id, u.video_id, u.execution_id, u.youtube_video_id AS host_video_id, u.status, u.updated_at
  FROM video_uploads u
 WHERE u.youtube_video_id IS NOT NULL AND u.status IN ('failed', 'abandoned', 'unknown')
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
-- parameters: none
-- Runs that are to go on by themselves and have no live job. A worker's next sweep mends them, so
-- one that stays here is a run that no worker looks after.
SELECT e.id AS execution_id, e.status, e.current_step AS step, j.status AS job_status, e.updated_at
  FROM workflow_executions e
  JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = e.current_step
  LEFT JOIN queue.job_queue j ON j.id = s.job_id
 WHERE e.status IN ('pending', 'queued', 'running', 'retrying')
   AND (j.id IS NULL OR j.status NOT IN ('pending', 'processing'))
 ORDER BY e.updated_at
 LIMIT 200;

-- name: finding_now :one
-- parameters: none
SELECT clock_timestamp() AS now;

-- name: finding_count_workers :one
-- parameters: none
SELECT count(*) AS n
  FROM queue.job_workers
 WHERE stopped_at IS NULL AND last_heartbeat > clock_timestamp() - interval '30 seconds';
