-- name: execution_insert :maybe
-- parameters: workflow, channel_id, video_id, trend_id, external_id, trigger_data, idempotency_key, callback_url, priority, publish_at, step
-- None when a run with this idempotency key exists already.
INSERT INTO workflow_executions
       (workflow_id, channel_id, video_id, trend_id, execution_id, trigger_data, idempotency_key,
        callback_url, priority, publish_at, current_step, status)
SELECT w.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'queued'
  FROM automation_workflows w
 WHERE w.name = $1
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL AND api_key_id IS NULL
    DO NOTHING
RETURNING id;

-- name: execution_find_by_key :maybe
-- parameters: idempotency_key
SELECT id FROM workflow_executions WHERE idempotency_key = $1 AND api_key_id IS NULL;

-- name: execution_lock :maybe
-- parameters: execution_id
-- Taken before the step's row by everyone, so that two claims of one run never deadlock.
SELECT status, current_step FROM workflow_executions WHERE id = $1 FOR UPDATE;

-- name: execution_load :one
-- parameters: execution_id
SELECT e.id, e.status, e.video_id, e.trend_id, e.trigger_data, e.priority, e.publish_at, e.channel_id,
       e.approved_at
  FROM workflow_executions e
 WHERE e.id = $1;

-- name: execution_mark_running :exec
-- parameters: execution_id, step
-- The deadline counts time at work: it moves by the rest that ends here.
UPDATE workflow_executions
   SET status = 'running', current_step = $2, next_retry_at = NULL, state = '{}',
       deadline_at = CASE WHEN status = 'running' THEN deadline_at
                          ELSE deadline_at + (clock_timestamp() - coalesce(heartbeat_at, created_at))
                     END,
       started_at = coalesce(started_at, clock_timestamp()), heartbeat_at = clock_timestamp()
 WHERE id = $1;

-- name: execution_mark_advanced :exec
-- parameters: execution_id, next_step
-- A stage is recorded: the totals are summed anew from what is booked, so they cannot drift.
UPDATE workflow_executions e
   SET status = 'queued', current_step = $2, error_message = NULL, state = '{}',
       items_processed = e.items_processed + 1, heartbeat_at = clock_timestamp(),
       cost = (SELECT coalesce(sum(c.amount), 0) FROM video_costs c WHERE c.workflow_execution_id = e.id)
 WHERE e.id = $1;

-- name: execution_mark_succeeded :exec
-- parameters: execution_id, output_data
UPDATE workflow_executions e
   SET status = 'success', error_message = NULL, state = '{}', output_data = $2,
       items_processed = e.items_processed + 1, completed_at = clock_timestamp(),
       heartbeat_at = clock_timestamp(), next_retry_at = NULL,
       duration_seconds = extract(epoch FROM clock_timestamp() - coalesce(e.started_at, e.created_at)),
       cost = (SELECT coalesce(sum(c.amount), 0) FROM video_costs c WHERE c.workflow_execution_id = e.id)
 WHERE e.id = $1;

-- name: execution_mark_paused :exec
-- parameters: execution_id, status, at, delay, error
-- 'retrying' goes on by itself, at a moment or after a delay by this clock; 'waiting' has neither.
UPDATE workflow_executions
   SET status = $2, next_retry_at = coalesce($3, clock_timestamp() + $4::interval),
       error_message = $5, retry_count = retry_count + 1,
       heartbeat_at = clock_timestamp()
 WHERE id = $1;

-- name: execution_approve :maybe
-- parameters: execution_id, approved_by
-- None when the run does not wait.
UPDATE workflow_executions
   SET status = 'queued', approved_at = clock_timestamp(), approved_by = $2, error_message = NULL,
       deadline_at = deadline_at + (clock_timestamp() - coalesce(heartbeat_at, created_at)),
       heartbeat_at = clock_timestamp()
 WHERE id = $1 AND status = 'waiting'
RETURNING current_step, priority;

-- name: execution_mark_failed :exec
-- parameters: execution_id, error, details
UPDATE workflow_executions e
   SET status = 'failed', error_message = $2, error_details = $3, next_retry_at = NULL, state = '{}',
       completed_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
       duration_seconds = extract(epoch FROM clock_timestamp() - coalesce(e.started_at, e.created_at)),
       cost = (SELECT coalesce(sum(c.amount), 0) FROM video_costs c WHERE c.workflow_execution_id = e.id)
 WHERE e.id = $1;

-- name: execution_mark_progress :exec
-- parameters: execution_id, step, fence, progress
-- How far the running step is, 0..1; nothing when the step has another owner by now.
UPDATE workflow_executions e
   SET state = jsonb_build_object('progress', $4::float8), heartbeat_at = clock_timestamp()
  FROM workflow_steps s
 WHERE e.id = $1 AND s.execution_id = e.id AND s.step_name = $2 AND s.fence = $3
   AND s.status = 'running';

-- name: execution_list :many
-- parameters: channel_id, status, before, before_id, limit
-- Newest first; (before, before_id) is the last row of the page before.
SELECT e.id, e.status, e.current_step, e.cost, e.error_message, e.created_at, e.started_at,
       e.completed_at, e.next_retry_at, e.state, e.execution_id AS n8n_execution_id,
       c.id AS channel_id, c.name AS channel_name, v.id AS video_id, v.title
  FROM workflow_executions e
  LEFT JOIN channels c ON c.id = e.channel_id
  LEFT JOIN videos v ON v.id = e.video_id
 WHERE ($1::uuid IS NULL OR e.channel_id = $1)
   AND ($2::text IS NULL OR e.status = $2)
   AND ($3::timestamptz IS NULL OR (e.created_at, e.id) < ($3, $4::uuid))
 ORDER BY e.created_at DESC, e.id DESC
 LIMIT $5;

-- name: execution_list_ids_like :many
-- parameters: prefix
-- Two are enough to know that a prefix is ambiguous.
SELECT id FROM workflow_executions WHERE id::text LIKE $1 || '%' LIMIT 2;

-- name: execution_find_overview :maybe
-- parameters: execution_id
SELECT e.id, e.status, e.current_step, e.cost, e.error_message, e.created_at, e.started_at,
       e.completed_at, e.next_retry_at, e.state, e.execution_id AS n8n_execution_id,
       c.id AS channel_id, c.name AS channel_name,
       v.id AS video_id, v.title, v.status AS video_status, v.youtube_video_id, v.youtube_url,
       v.video_path, v.thumbnail_path, v.captions_path, v.duration_seconds,
       u.output->'publication'->>'path' AS path
  FROM workflow_executions e
  LEFT JOIN channels c ON c.id = e.channel_id
  LEFT JOIN videos v ON v.id = e.video_id
  LEFT JOIN workflow_steps u ON u.execution_id = e.id AND u.step_name = 'upload'
 WHERE e.id = $1;

-- name: execution_list_active :many
-- parameters: channel_id
-- Oldest first: what was begun first is finished first.
SELECT id
  FROM workflow_executions
 WHERE channel_id = $1 AND status IN ('pending', 'queued', 'running', 'retrying')
 ORDER BY created_at, id;

-- name: execution_count_going_on :one
-- parameters: horizon_seconds
-- Runs that will go on by themselves within the horizon.
SELECT count(*) AS n
  FROM workflow_executions
 WHERE status IN ('pending', 'queued', 'running')
    OR (status = 'retrying'
        AND next_retry_at <= clock_timestamp() + make_interval(secs => $1::float8));

-- name: execution_wake_for_account :many
-- parameters: account_id
-- Runs that wait for an account of their channel, not for an approval: they go on.
UPDATE workflow_executions e
   SET status = 'queued', error_message = NULL,
       deadline_at = e.deadline_at + (clock_timestamp() - coalesce(e.heartbeat_at, e.created_at)),
       heartbeat_at = clock_timestamp()
  FROM channels c, channel_accounts ca
 WHERE c.id = e.channel_id AND ca.channel_id = c.id AND ca.youtube_account_id = $1
   AND e.status = 'waiting' AND e.current_step IN ('upload', 'analytics_pull')
   AND (c.auto_publish OR e.approved_at IS NOT NULL)
RETURNING e.id AS execution_id, e.current_step AS step, e.priority;

-- name: execution_wake :maybe
-- parameters: execution_id, step
-- A run that waits for a person at this step goes on; what it was approved for stays as it is.
UPDATE workflow_executions
   SET status = 'queued', error_message = NULL, heartbeat_at = clock_timestamp()
 WHERE id = $1 AND status = 'waiting' AND current_step = $2
RETURNING priority;
