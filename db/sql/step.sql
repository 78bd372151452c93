-- name: step_insert :exec
-- parameters: execution_id, step, step_no
INSERT INTO workflow_steps (execution_id, step_name, step_no) VALUES ($1, $2, $3);

-- name: step_set_job :exec
-- parameters: execution_id, step, job_id
UPDATE workflow_steps SET job_id = $3 WHERE execution_id = $1 AND step_name = $2;

-- name: step_claim :maybe
-- parameters: execution_id, step, job_id
-- The new owner's fence; None when there is nothing to do: the step is done, was cancelled, or
-- another job is at it (a job that somebody enqueued twice must not pay twice).
UPDATE workflow_steps s
   SET fence = fence + 1, attempt = attempt + 1, status = 'running', job_id = $3,
       next_retry_at = NULL, started_at = coalesce(started_at, clock_timestamp())
 WHERE execution_id = $1 AND step_name = $2
   AND status IN ('pending', 'running', 'retrying', 'waiting')
   AND NOT (status = 'running' AND job_id <> $3
            AND EXISTS (SELECT 1 FROM queue.job_queue j
                         WHERE j.id = s.job_id AND j.status = 'processing'))
RETURNING id, fence, attempt;

-- name: step_find :maybe
-- parameters: execution_id, step
SELECT id, status, fence FROM workflow_steps WHERE execution_id = $1 AND step_name = $2;

-- name: step_list_outputs :many
-- parameters: execution_id
SELECT step_name, output FROM workflow_steps WHERE execution_id = $1 AND status = 'success';

-- name: step_mark_succeeded :exec
-- parameters: step_id, fence, output
-- No row: the claim is lost and nothing may be written.
UPDATE workflow_steps s
   SET status = 'success', output = $3, error_message = NULL, completed_at = clock_timestamp(),
       cost = (SELECT coalesce(sum(c.amount), 0) FROM video_costs c
                WHERE c.workflow_execution_id = s.execution_id
                  AND c.metadata->>'step' = s.step_name)
 WHERE s.id = $1 AND s.fence = $2 AND s.status = 'running';

-- name: step_mark_paused :exec
-- parameters: step_id, fence, status, at, delay, error
UPDATE workflow_steps
   SET status = $3, next_retry_at = coalesce($4, clock_timestamp() + $5::interval),
       error_message = $6
 WHERE id = $1 AND fence = $2 AND status = 'running';

-- name: step_mark_failed :exec
-- parameters: step_id, fence, error
UPDATE workflow_steps
   SET status = 'failed', error_message = $3, completed_at = clock_timestamp(), next_retry_at = NULL
 WHERE id = $1 AND fence = $2 AND status = 'running';

-- name: step_assert_owned :maybe
-- parameters: step_id, fence
-- Locks the step for the rest of the transaction: a later claim waits for this commit.
SELECT id FROM workflow_steps WHERE id = $1 AND fence = $2 AND status = 'running' FOR UPDATE;

-- name: step_list :many
-- parameters: execution_id
SELECT step_name, status, attempt, started_at, completed_at, cost, error_message, next_retry_at
  FROM workflow_steps
 WHERE execution_id = $1
 ORDER BY step_no;

-- name: step_find_upload :maybe
-- parameters: execution_id
-- The upload step of a run once it is done, with what became of its extras.
SELECT fence, coalesce(output->'extras', '[]') AS extras
  FROM workflow_steps
 WHERE execution_id = $1 AND step_name = 'upload' AND status = 'success';

-- name: step_set_extras :exec
-- parameters: execution_id, fence, extras
-- No row: the step has been taken up again since.
UPDATE workflow_steps
   SET output = jsonb_set(output, '{extras}', $3)
 WHERE execution_id = $1 AND step_name = 'upload' AND status = 'success' AND fence = $2;

-- name: step_find_undressed :maybe
-- parameters: video_id
-- The run whose video still waits for extras while no job sees to them.
SELECT u.execution_id
  FROM video_uploads u
  JOIN workflow_steps s ON s.execution_id = u.execution_id AND s.step_name = 'upload'
 WHERE u.video_id = $1 AND u.status = 'published' AND s.status = 'success'
   AND s.output->'extras' @> '[{"status": "waits"}]'
   AND NOT EXISTS (SELECT 1 FROM queue.job_queue j
                    WHERE j.lock = 'extras:' || u.execution_id
                      AND j.status IN ('pending', 'processing'));
