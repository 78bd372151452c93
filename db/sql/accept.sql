-- name: run_accept :maybe
-- parameters: api_key_id, key_hash, scope, channel_id, channel_seen, workflow, workflow_seen, receipt_kind, receipt_endpoint, receipt_key, request_hash, answer, video_id, execution_id, job_id, title, topic, language, resolution, fps, visibility, publish_at, external_id, trigger_data, callback_url, priority, stages, job_type, queue_name, payload
-- A whole run and the receipt of its request, in one statement and so in one commit: what
-- `start_run` does step by step, for a caller who remembers its key, its channel and its workflow,
-- and has them checked here. None, and nothing written, when any of them is no longer as remembered
-- (workflow_seen NULL: however it is), or the receipt is taken; an insert of the same receipt that is
-- under way is waited for. The job is not announced: notifications commit one by one.
WITH allowed AS MATERIALIZED (
    SELECT w.id AS workflow_id, set_config('ytempire.quiet_queue', $29::text, true) AS hush
      FROM api_keys k, channels c, automation_workflows w
     WHERE k.id = $1 AND k.key_hash = $2 AND k.permissions ? $3 AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
       AND c.id = $4 AND c.updated_at = $5 AND c.status = 'active' AND c.deleted_at IS NULL
       AND w.name = $6 AND ($7::timestamptz IS NULL OR (w.is_active AND w.updated_at = $7))),
receipt AS (
    INSERT INTO webhook_receipts (api_key_id, kind, endpoint, idempotency_key, request_hash,
                                  response_status, response_body)
    SELECT $1, $8::varchar, $9, $10, $11, 202, $12 FROM allowed WHERE $8::varchar IS NOT NULL
        ON CONFLICT (api_key_id, kind, endpoint, idempotency_key) DO NOTHING
    RETURNING 1),
fresh AS MATERIALIZED (
    SELECT workflow_id FROM allowed WHERE $8::varchar IS NULL OR EXISTS (SELECT FROM receipt)),
video AS (
    INSERT INTO videos (id, channel_id, title, topic, language, resolution, fps, visibility,
                        scheduled_publish_at, status, queued_at)
    SELECT $13, $4, $16, $17, $18, $19, $20, $21, $22, 'queued', clock_timestamp() FROM fresh
    RETURNING id),
execution AS (
    INSERT INTO workflow_executions
           (id, workflow_id, channel_id, video_id, execution_id, trigger_data, callback_url, priority,
            publish_at, current_step, status)
    SELECT $14, fresh.workflow_id, $4, video.id, $23, $24, $25, $26, $22, ($27::text[])[1], 'queued'
      FROM fresh, video
    RETURNING id),
steps AS (
    INSERT INTO workflow_steps (execution_id, step_name, step_no, job_id)
    SELECT execution.id, s.name, s.number, CASE WHEN s.number = 1 THEN $15::uuid END
      FROM execution, unnest($27::text[]) WITH ORDINALITY AS s(name, number))
INSERT INTO queue.job_queue (id, job_type, payload, queue_name, priority, scheduled_for)
SELECT $15::uuid, $28, $30, $29::text, $26, NULL FROM execution
RETURNING id;

-- name: accept_announce :one
-- parameters: queue_name
-- Tell the workers of a queue that there is something to do.
SELECT queue.job_announce($1, 'job_inserted', NULL)::text AS told;
