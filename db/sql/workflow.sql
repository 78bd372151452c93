-- name: workflow_insert :maybe
-- parameters: name, workflow_type, channel_id, priority, configuration
-- None when the name is taken.
INSERT INTO automation_workflows
       (name, workflow_type, trigger_type, channel_id, priority, configuration)
VALUES ($1, $2, 'webhook', $3, $4, $5)
    ON CONFLICT (name) DO NOTHING
RETURNING id;

-- name: workflow_find :maybe
-- parameters: name
SELECT w.id, w.name, w.workflow_type, w.trigger_type, w.is_active, w.priority, w.configuration,
       w.created_at, c.name AS channel_name
  FROM automation_workflows w
  LEFT JOIN channels c ON c.id = w.channel_id
 WHERE w.name = $1;

-- name: workflow_list :many
-- parameters: none
SELECT w.id, w.name, w.workflow_type, w.trigger_type, w.is_active, w.priority, w.configuration,
       w.created_at, c.name AS channel_name
  FROM automation_workflows w
  LEFT JOIN channels c ON c.id = w.channel_id
 ORDER BY w.name;

-- name: workflow_set_active :exec
-- parameters: name, is_active
UPDATE automation_workflows
   SET is_active = $2, updated_at = clock_timestamp()
 WHERE name = $1;
