-- name: call_list_tries :many
-- parameters: step_id, operation, shard, request_hash
-- All attempts at one call of a step, oldest first, with the stored answer where there is one.
SELECT c.id, c.try_no, c.status, c.provider_ref, c.amount_reserved, c.settle_at, c.lookups,
       c.created_at, c.settle_at <= clock_timestamp() AS settled, c.response_artifact AS url,
       a.sha256, a.size_bytes
  FROM provider_calls c
  JOIN workflow_steps s ON s.id = c.step_id
  JOIN workflow_executions e ON e.id = s.execution_id
  LEFT JOIN video_artifacts a ON a.video_id = e.video_id AND a.url = c.response_artifact
 WHERE c.step_id = $1 AND c.operation = $2 AND c.shard = $3 AND c.request_hash = $4
 ORDER BY c.try_no;

-- name: call_insert :one
-- parameters: call_id, step_id, service, operation, request_hash, shard, try_no, amount_reserved, fence, settles_after_seconds
-- This very intent may be there already: its COMMIT was done and its answer lost.
INSERT INTO provider_calls
       (id, step_id, service, operation, request_hash, shard, try_no, amount_reserved, fence,
        settle_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
        clock_timestamp() + make_interval(secs => $10::float8), clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET fence = excluded.fence
RETURNING settle_at;

-- name: call_note_reference :exec
-- parameters: call_id, reference
UPDATE provider_calls SET provider_ref = $2 WHERE id = $1 AND status = 'intent';

-- name: call_mark_done :exec
-- parameters: call_id, fence, amount, reference, url
-- No row: the call has its outcome already.
UPDATE provider_calls
   SET status = 'done', fence = $2, amount_actual = $3, provider_ref = coalesce($4, provider_ref),
       response_artifact = $5, error_message = NULL
 WHERE id = $1 AND status IN ('intent', 'unknown');

-- name: call_mark_failed :exec
-- parameters: call_id, fence, amount, reference, error
-- An amount: what was charged for an answer that is of no use.
UPDATE provider_calls
   SET status = 'failed', fence = $2, amount_actual = $3,
       provider_ref = coalesce($4, provider_ref), error_message = $5
 WHERE id = $1 AND status IN ('intent', 'unknown');

-- name: call_mark_unknown :exec
-- parameters: call_id, fence, error
UPDATE provider_calls
   SET status = 'unknown', fence = $2, error_message = $3
 WHERE id = $1 AND status = 'intent';

-- name: call_settle_within :exec
-- parameters: call_id, seconds
-- The vendor is at its end with the call: what it did shows soon.
UPDATE provider_calls
   SET settle_at = least(settle_at, clock_timestamp() + make_interval(secs => $2::float8))
 WHERE id = $1 AND status = 'intent';

-- name: call_count_lookup :one
-- parameters: call_id
UPDATE provider_calls SET lookups = lookups + 1 WHERE id = $1 RETURNING lookups;

-- name: call_list_references :many
-- parameters: service, call_id, since
-- The vendor's names for all other calls made since.
SELECT provider_ref
  FROM provider_calls
 WHERE service = $1 AND id <> $2 AND created_at >= $3 AND provider_ref IS NOT NULL;

-- name: call_set_aside :exec
-- parameters: step_id, reason
-- Stored answers that a repeat must not use again; what they cost stays.
UPDATE provider_calls SET status = 'failed', error_message = $2
 WHERE step_id = $1 AND status = 'done';

-- name: call_sum_costs :exec
-- parameters: step_id
-- Step and run show what is booked while they are under way, too.
WITH step AS (
    UPDATE workflow_steps s
       SET cost = (SELECT coalesce(sum(k.amount), 0) FROM video_costs k
                    WHERE k.workflow_execution_id = s.execution_id
                      AND k.metadata->>'step' = s.step_name)
     WHERE s.id = $1
 RETURNING s.execution_id
)
UPDATE workflow_executions e
   SET cost = (SELECT coalesce(sum(k.amount), 0) FROM video_costs k
                WHERE k.workflow_execution_id = e.id)
  FROM step
 WHERE e.id = step.execution_id;

-- name: call_list_open :many
-- parameters: none
-- Calls that nobody knows the end of, and those that have settled and were not looked up yet.
SELECT c.id, s.execution_id, s.step_name AS step, c.service, c.operation, c.status, c.try_no,
       c.provider_ref, c.amount_reserved, c.error_message, c.created_at, c.settle_at,
       e.status AS run_status
  FROM provider_calls c
  JOIN workflow_steps s ON s.id = c.step_id
  JOIN workflow_executions e ON e.id = s.execution_id
 WHERE c.status = 'unknown' OR (c.status = 'intent' AND c.settle_at < clock_timestamp())
 ORDER BY c.created_at
 LIMIT 1000;

-- name: call_list_ids_like :many
-- parameters: prefix
SELECT id FROM provider_calls WHERE id::text LIKE $1 || '%' LIMIT 2;

-- name: call_find :one
-- parameters: call_id
SELECT c.id, c.step_id, s.execution_id, s.step_name AS step, e.video_id, c.service, c.operation,
       c.status, c.amount_reserved, c.settle_at, c.settle_at <= clock_timestamp() AS settled
  FROM provider_calls c
  JOIN workflow_steps s ON s.id = c.step_id
  JOIN workflow_executions e ON e.id = s.execution_id
 WHERE c.id = $1;

-- name: call_resolve :exec
-- parameters: call_id, amount, error
-- A person's word. No row: it has an outcome by now, or may still take effect.
UPDATE provider_calls
   SET status = 'failed', amount_actual = $2, error_message = $3
 WHERE id = $1
   AND (status = 'unknown' OR (status = 'intent' AND settle_at <= clock_timestamp()));

-- name: call_list_closed :many
-- parameters: call_ids
-- Those of the calls that have their outcome.
SELECT id FROM provider_calls WHERE id = ANY($1::uuid[]) AND status IN ('done', 'failed');
