-- name: delivery_find_subject :maybe
-- parameters: execution_id, deferred_seconds
-- Who is to be told of a run. Locked: occurrences are counted one after another. A pause counts as
-- deferred when it lasts longer than that.
SELECT e.status, e.callback_url, clock_timestamp() AS now,
       coalesce(e.next_retry_at > clock_timestamp() + make_interval(secs => $2::float8), false)
           AS deferred
  FROM workflow_executions e
 WHERE e.id = $1
   FOR NO KEY UPDATE;

-- name: delivery_find_run_of_video :maybe
-- parameters: video_id
-- The last run that made it.
SELECT id FROM workflow_executions WHERE video_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: delivery_insert :one
-- parameters: execution_id, recipient, event, callback_url, body
INSERT INTO webhook_deliveries (execution_id, recipient, event, occurrence, callback_url, body)
SELECT $1::uuid, $2::text, $3::text, 1 + count(*), $4::text, $5::jsonb
  FROM webhook_deliveries
 WHERE execution_id = $1 AND recipient = $2 AND event = $3
RETURNING id;

-- name: delivery_set_job :exec
-- parameters: delivery_id, job_id
UPDATE webhook_deliveries SET job_id = $2 WHERE id = $1;
