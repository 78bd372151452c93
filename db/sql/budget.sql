-- name: budget_lock :exec
-- parameters: none
-- One intent at a time looks at the money; held until its commit. What is summed afterwards
-- includes all that was reserved before.
SELECT pg_advisory_xact_lock(hashtextextended('ytempire.budget', 0));

-- name: budget_channel :one
-- parameters: video_id
SELECT c.id, c.name, c.daily_budget
  FROM videos v
  JOIN channels c ON c.id = v.channel_id
 WHERE v.id = $1;

-- name: budget_sums :one
-- parameters: video_id, channel_id
-- Spent is what is booked (today by UTC for channel and day), open what is reserved for calls under
-- way, unknown what is reserved for calls that nobody can, or did yet, tell the end of.
WITH today AS (
    SELECT date_trunc('day', clock_timestamp(), 'UTC') AS begins
), spent AS (
    SELECT coalesce(sum(k.amount), 0) AS day,
           coalesce(sum(k.amount) FILTER (WHERE v.channel_id = $2), 0) AS channel
      FROM today
      JOIN video_costs k ON k.amount > 0 AND k.created_at >= today.begins
      JOIN videos v ON v.id = k.video_id
), reserved AS (
    SELECT v.id AS video_id, v.channel_id, c.amount_reserved AS amount,
           c.status = 'intent' AND c.settle_at > clock_timestamp() AS open
      FROM provider_calls c
      JOIN workflow_steps s ON s.id = c.step_id
      JOIN workflow_executions e ON e.id = s.execution_id
      JOIN videos v ON v.id = e.video_id
     WHERE c.status IN ('intent', 'unknown')
), held AS (
    SELECT coalesce(sum(amount) FILTER (WHERE NOT open), 0) AS day_unknown,
           coalesce(sum(amount) FILTER (WHERE open), 0) AS day_open,
           coalesce(sum(amount) FILTER (WHERE NOT open AND channel_id = $2), 0) AS channel_unknown,
           coalesce(sum(amount) FILTER (WHERE open AND channel_id = $2), 0) AS channel_open,
           coalesce(sum(amount) FILTER (WHERE NOT open AND video_id = $1), 0) AS video_unknown,
           coalesce(sum(amount) FILTER (WHERE open AND video_id = $1), 0) AS video_open
      FROM reserved
)
SELECT (SELECT coalesce(sum(amount), 0) FROM video_costs WHERE video_id = $1) AS video_spent,
       held.video_unknown, held.video_open,
       spent.channel AS channel_spent, held.channel_unknown, held.channel_open,
       spent.day AS day_spent, held.day_unknown, held.day_open,
       today.begins + interval '1 day' AS tomorrow
  FROM today, spent, held;
