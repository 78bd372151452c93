-- What people and the reconciler do to a run as a whole. Everyone locks the run before its steps.

-- name: control_lock :maybe
-- parameters: execution_id
SELECT id, status, current_step, priority, video_id, next_retry_at
  FROM workflow_executions
 WHERE id = $1
   FOR UPDATE;

-- name: control_lock_steps :many
-- parameters: execution_id
SELECT id, step_name, step_no, status, job_id
  FROM workflow_steps
 WHERE execution_id = $1
 ORDER BY step_no
   FOR UPDATE;

-- name: control_end_step :exec
-- parameters: step_id, status, error
-- From outside the step, whoever owns it: the new fence is nobody's.
UPDATE workflow_steps s
   SET status = $2, error_message = $3, fence = s.fence + 1, next_retry_at = NULL,
       completed_at = clock_timestamp(),
       cost = (SELECT coalesce(sum(c.amount), 0) FROM video_costs c
                WHERE c.workflow_execution_id = s.execution_id
                  AND c.metadata->>'step' = s.step_name)
 WHERE s.id = $1;

-- name: control_end :exec
-- parameters: execution_id, status, error, details
UPDATE workflow_executions e
   SET status = $2::text, error_message = $3, error_details = $4, next_retry_at = NULL, state = '{}',
       cancel_requested_at = CASE WHEN $2::text = 'cancelled' THEN clock_timestamp()
                                  ELSE e.cancel_requested_at END,
       completed_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
       duration_seconds = extract(epoch FROM clock_timestamp() - coalesce(e.started_at, e.created_at)),
       cost = (SELECT coalesce(sum(c.amount), 0) FROM video_costs c WHERE c.workflow_execution_id = e.id)
 WHERE e.id = $1;

-- name: control_reset_steps :exec
-- parameters: execution_id, step_no
-- This step and those after it begin anew; what was booked for them stays booked.
UPDATE workflow_steps
   SET status = 'pending', fence = fence + 1, attempt = 0, job_id = NULL, output = '{}',
       error_message = NULL, next_retry_at = NULL, started_at = NULL, completed_at = NULL
 WHERE execution_id = $1 AND step_no >= $2;

-- name: control_add_rejection :exec
-- parameters: step_id, rejection
UPDATE workflow_steps
   SET input = jsonb_set(input, '{rejections}',
                         coalesce(input->'rejections', '[]') || jsonb_build_array($2::jsonb))
 WHERE id = $1;

-- name: control_count_remade :one
-- parameters: step_id
-- How often the step was sent back to because what it made was damaged, this time included.
UPDATE workflow_steps
   SET input = jsonb_set(input, '{remade}', to_jsonb(coalesce((input->>'remade')::int, 0) + 1))
 WHERE id = $1
RETURNING (input->>'remade')::int AS n;

-- name: control_list_rejections :many
-- parameters: execution_id
SELECT s.step_name, r.value->>'reason' AS reason, r.value->>'by' AS by, r.value->>'at' AS at
  FROM workflow_steps s
 CROSS JOIN LATERAL jsonb_array_elements(coalesce(s.input->'rejections', '[]')) AS r (value)
 WHERE s.execution_id = $1
 ORDER BY r.value->>'at';

-- name: control_restart :exec
-- parameters: execution_id, step, items_processed, keep_approval
-- A run of a new deadline; the approval of a film is none of the film made in its place.
UPDATE workflow_executions
   SET status = 'queued', current_step = $2, items_processed = $3, error_message = NULL,
       error_details = NULL, next_retry_at = NULL, completed_at = NULL, duration_seconds = NULL,
       cancel_requested_at = NULL, state = '{}', deadline_at = DEFAULT,
       heartbeat_at = clock_timestamp(),
       approved_at = CASE WHEN $4::boolean THEN approved_at END,
       approved_by = CASE WHEN $4::boolean THEN approved_by END
 WHERE id = $1;

-- name: control_restart_video :exec
-- parameters: video_id, has_film
UPDATE videos
   SET error_message = NULL,
       status = CASE WHEN status IN ('published', 'deleted') THEN status
                     WHEN $2::boolean THEN 'completed' ELSE 'processing' END
 WHERE id = $1;

-- name: control_list_charges :many
-- parameters: execution_id, step_no
-- What each of these steps was charged for what would be charged again: of a recorded step, the calls
-- whose answers it used; of another, those of its last passage that were set aside, for the rest
-- are used again. Charges without a call are of the last passage: its started_at begins anew with it.
SELECT s.step_name, c.service, coalesce(c.operation, '') AS operation, count(*) AS calls,
       sum(c.amount) AS amount
  FROM workflow_steps s
  JOIN video_costs c ON c.workflow_execution_id = s.execution_id
                    AND c.metadata->>'step' = s.step_name
  LEFT JOIN provider_calls p ON p.step_id = s.id AND c.idempotency_key = 'call:' || p.id
 WHERE s.execution_id = $1 AND s.step_no >= $2
   AND CASE WHEN s.status <> 'success' THEN p.status = 'failed' AND c.created_at >= s.started_at
            WHEN p.id IS NULL THEN c.created_at >= s.started_at
            ELSE p.status = 'done' END
 GROUP BY s.step_no, s.step_name, c.service, c.operation
 ORDER BY s.step_no, c.service, c.operation;

-- name: control_list_astray :many
-- parameters: most
-- Runs that may need the reconciler: without a live job, or past their deadline. Only a look, without a
-- lock: each is looked at again under its own.
SELECT e.id
  FROM workflow_executions e
  LEFT JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = e.current_step
  LEFT JOIN queue.job_queue j ON j.id = s.job_id AND j.status IN ('pending', 'processing')
 WHERE e.status IN ('pending', 'queued', 'running', 'retrying')
   AND (j.id IS NULL
        OR e.deadline_at < CASE e.status WHEN 'running' THEN clock_timestamp()
                                         ELSE coalesce(e.heartbeat_at, e.created_at) END)
 ORDER BY e.updated_at
 LIMIT $1;

-- name: control_lock_astray :maybe
-- parameters: execution_id
-- The run, unless another transaction has it: that one sees to it, or the next look does.
SELECT id FROM workflow_executions WHERE id = $1 FOR UPDATE SKIP LOCKED;

-- name: control_get_standing :one
-- parameters: execution_id
-- A statement of its own, after the lock: it sees everything that was committed before it. A run at
-- rest is past its deadline when it was so before it began to rest.
SELECT j.status AS job_status, j.last_error, s.status AS step_status, s.error_message AS step_error,
       coalesce(e.deadline_at < CASE e.status WHEN 'running' THEN clock_timestamp()
                                              ELSE coalesce(e.heartbeat_at, e.created_at) END,
                false) AS overdue
  FROM workflow_executions e
  LEFT JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = e.current_step
  LEFT JOIN queue.job_queue j ON j.id = s.job_id
 WHERE e.id = $1;
