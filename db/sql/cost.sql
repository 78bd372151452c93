-- name: cost_insert :exec
-- parameters: video_id, execution_id, service, operation, amount, units, unit_type, rate, request_id, idempotency_key, response_time_ms, metadata
-- A charge is booked once, however often its stage is recorded.
INSERT INTO video_costs
       (video_id, workflow_execution_id, service, operation, amount, units_consumed, unit_type,
        rate_per_unit, request_id, idempotency_key, response_time_ms, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (idempotency_key) DO NOTHING;

-- name: cost_list_by_execution :many
-- parameters: execution_id
SELECT service, coalesce(operation, '') AS operation, count(*) AS calls, sum(amount) AS amount,
       sum(units_consumed) AS units, coalesce(min(unit_type), '') AS unit_type
  FROM video_costs
 WHERE workflow_execution_id = $1
 GROUP BY service, operation
 ORDER BY min(created_at), service, operation;

-- name: cost_report :many
-- parameters: by, since
SELECT CASE $1::text
            WHEN 'service' THEN k.service
            WHEN 'channel' THEN c.name
            WHEN 'video' THEN v.id::text
            ELSE to_char(k.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS key,
       CASE WHEN $1::text = 'video' THEN min(v.title) END AS title,
       count(*) AS calls, count(DISTINCT k.video_id) AS videos, sum(k.amount) AS amount
  FROM video_costs k
  JOIN videos v ON v.id = k.video_id
  JOIN channels c ON c.id = v.channel_id
 WHERE $2::timestamptz IS NULL OR k.created_at >= $2
 GROUP BY 1
 ORDER BY 1;

-- name: cost_usual_of_channel :one
-- parameters: channel_id
-- What the latest finished runs of a channel cost on average; NULL when there is none.
SELECT avg(latest.cost) AS usual
  FROM (SELECT e.cost FROM workflow_executions e
         WHERE e.channel_id = $1 AND e.status = 'success'
         ORDER BY e.created_at DESC LIMIT 10) latest;
