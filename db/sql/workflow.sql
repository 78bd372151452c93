-- name: workflow_insert :maybe
-- parameters: name, workflow_type, channel_id, priority, configuration, schedule_cron, timezone, catch_up, next_run_at
-- None when the name is taken. With a cron it starts by the clock; a webhook may start it, too.
INSERT INTO automation_workflows
       (name, workflow_type, trigger_type, channel_id, priority, configuration,
        schedule_cron, timezone, catch_up, next_run_at)
VALUES ($1, $2, CASE WHEN $6::text IS NULL THEN 'webhook' ELSE 'schedule' END, $3, $4, $5,
        $6, $7, $8, $9)
    ON CONFLICT (name) DO NOTHING
RETURNING id;

-- name: workflow_find :maybe
-- parameters: name
SELECT w.id, w.name, w.workflow_type, w.trigger_type, w.is_active, w.priority, w.configuration,
       w.schedule_cron, w.timezone, w.catch_up, w.next_run_at, w.last_run_at, w.last_run_status,
       w.last_error, w.created_at, w.updated_at, c.name AS channel_name
  FROM automation_workflows w
  LEFT JOIN channels c ON c.id = w.channel_id
 WHERE w.name = $1;

-- name: workflow_list :many
-- parameters: none
SELECT w.id, w.name, w.workflow_type, w.trigger_type, w.is_active, w.priority, w.configuration,
       w.schedule_cron, w.timezone, w.catch_up, w.next_run_at, w.last_run_at, w.last_run_status,
       w.last_error, w.created_at, w.updated_at, c.name AS channel_name
  FROM automation_workflows w
  LEFT JOIN channels c ON c.id = w.channel_id
 ORDER BY w.name;

-- name: workflow_set_active :exec
-- parameters: name, is_active, next_run_at
-- What would have been due while it was disabled is not caught up with.
UPDATE automation_workflows SET is_active = $2, next_run_at = $3 WHERE name = $1;
