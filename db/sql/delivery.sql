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

-- name: delivery_lock :maybe
-- parameters: delivery_id
SELECT d.id, d.execution_id, d.recipient, d.event, d.callback_url, d.body, d.status, d.failures,
       d.early_answers, d.attempts, d.job_id, d.queued_at, clock_timestamp() AS now
  FROM webhook_deliveries d
 WHERE d.id = $1
   FOR UPDATE;

-- name: delivery_find_hold :one
-- parameters: origin
-- How long this origin is to be left alone, in seconds.
SELECT coalesce(extract(epoch FROM max(held_until) - clock_timestamp()), 0)::float8 AS seconds
  FROM webhook_deliveries
 WHERE origin = $1 AND held_until IS NOT NULL AND held_until > clock_timestamp();

-- name: delivery_is_gone :one
-- parameters: delivery_id, callback_url
-- Whether this very address has said 410 to another delivery that was not sent again since.
SELECT EXISTS (SELECT FROM webhook_deliveries
                WHERE callback_url = $2 AND status = 'dead' AND last_status_code = 410
                  AND id <> $1) AS gone;

-- name: delivery_mark_attempt :exec
-- parameters: delivery_id, callback_url, origin
-- Committed before anything is sent.
UPDATE webhook_deliveries
   SET attempts = attempts + 1, callback_url = $2, origin = $3, next_attempt_at = NULL
 WHERE id = $1 AND status = 'pending';

-- name: delivery_settle :exec
-- parameters: delivery_id, status, status_code, error, failures, early_answers, delay, hold
-- Delays in seconds by this clock; the hold keeps others from the same origin as well.
UPDATE webhook_deliveries
   SET status = $2::text, last_status_code = coalesce($3, last_status_code), last_error = $4,
       failures = $5, early_answers = $6,
       next_attempt_at = clock_timestamp() + make_interval(secs => $7::float8),
       held_until = clock_timestamp() + make_interval(secs => $8::float8),
       delivered_at = CASE WHEN $2::text = 'delivered' THEN clock_timestamp() END
 WHERE id = $1 AND status = 'pending';

-- name: delivery_restart :exec
-- parameters: delivery_id
-- Put back with the whole schedule before it; its id, and so its webhook-id, stays.
UPDATE webhook_deliveries
   SET status = 'pending', failures = 0, early_answers = 0, next_attempt_at = NULL,
       held_until = NULL, queued_at = clock_timestamp()
 WHERE id = $1 AND status <> 'delivered';

-- name: delivery_list_adrift :many
-- parameters: none
-- Deliveries that nobody is about to send: their job ended without them, or is gone.
SELECT d.id, d.execution_id, d.event, d.origin, j.status AS job_status, j.last_error
  FROM webhook_deliveries d
  LEFT JOIN queue.job_queue j ON j.id = d.job_id
 WHERE d.status = 'pending' AND (j.id IS NULL OR j.status NOT IN ('pending', 'processing'))
 ORDER BY d.created_at
 LIMIT 1000
   FOR UPDATE OF d SKIP LOCKED;

-- name: delivery_list :many
-- parameters: status, execution_id, before, before_id, limit
-- Newest first; (before, before_id) is the last row of the page before.
SELECT d.id, d.execution_id, d.recipient, d.event, d.occurrence, d.callback_url, d.origin, d.status,
       d.attempts, d.last_status_code, d.last_error, d.created_at, d.next_attempt_at,
       d.delivered_at
  FROM webhook_deliveries d
 WHERE ($1::text IS NULL OR d.status = $1)
   AND ($2::uuid IS NULL OR d.execution_id = $2)
   AND ($3::timestamptz IS NULL OR (d.created_at, d.id) < ($3, $4::uuid))
 ORDER BY d.created_at DESC, d.id DESC
 LIMIT $5;

-- name: delivery_list_ids_like :many
-- parameters: prefix
-- Two are enough to know that a prefix is ambiguous.
SELECT id FROM webhook_deliveries WHERE id::text LIKE $1 || '%' LIMIT 2;

-- name: delivery_list_dead_ids :many
-- parameters: none
SELECT id FROM webhook_deliveries WHERE status = 'dead' ORDER BY created_at LIMIT 10000;

-- name: delivery_count_dead :many
-- parameters: none
SELECT coalesce(origin, 'an address that was refused') AS origin, count(*) AS deliveries,
       max(last_error) AS example
  FROM webhook_deliveries
 WHERE status = 'dead'
 GROUP BY 1
 ORDER BY 2 DESC, 1;

-- name: delivery_delete_old :exec
-- parameters: days, most
-- What was delivered, or was for nobody, and is old; the dead stay for a person to look at.
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries
     WHERE status IN ('delivered', 'skipped')
       AND created_at < clock_timestamp() - make_interval(days => $1::integer)
     ORDER BY created_at LIMIT $2);
