-- name: workflow_find :maybe
-- parameters: name
SELECT w.id, w.name, w.workflow_type, w.is_active, w.priority, w.configuration,
       c.name AS channel_name
  FROM automation_workflows w
  LEFT JOIN channels c ON c.id = w.channel_id
 WHERE w.name = $1;
