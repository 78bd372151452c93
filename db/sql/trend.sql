-- name: trend_upsert :maybe
-- parameters: topic, topic_normalized, category, source, source_metadata, source_url, viral_score, competition_score
-- None when the topic was used by a video already: the same topic is not made twice.
INSERT INTO trends (topic, topic_normalized, category, source, source_metadata, source_url,
                    viral_score, competition_score, status)
SELECT $1, $2::varchar, $3, $4::varchar, $5, $6, $7, $8, 'qualified'
 WHERE NOT EXISTS (SELECT 1 FROM trends t
                    WHERE t.source = $4::varchar AND t.topic_normalized = $2::varchar AND t.status = 'used')
    ON CONFLICT (source, topic_normalized) WHERE status IN ('new', 'analyzing', 'qualified')
    DO UPDATE
   SET topic = excluded.topic, category = excluded.category,
       source_metadata = excluded.source_metadata, source_url = excluded.source_url
RETURNING id, (xmax = 0) AS inserted;

-- name: trend_list_qualified :many
-- parameters: limit
-- In the order of the file for equal scores: an operator's own list is worked from its top.
SELECT id, topic, category, source, source_metadata, source_url,
       opportunity_score, first_detected
  FROM trends
 WHERE status = 'qualified' AND (expiry_time IS NULL OR expiry_time > clock_timestamp())
 ORDER BY opportunity_score DESC, first_detected, (source_metadata->>'position')::int NULLS LAST, id
 LIMIT $1;

-- name: trend_find :maybe
-- parameters: trend_id
SELECT id, topic, category, source, source_metadata, source_url,
       opportunity_score, first_detected
  FROM trends
 WHERE id = $1;

-- name: trend_use :exec
-- parameters: trend_id
-- No row: another run took it in the meantime.
UPDATE trends
   SET status = 'used', processed_at = clock_timestamp(), action_taken = 'video'
 WHERE id = $1 AND status = 'qualified';

-- name: trend_list :many
-- parameters: status, limit
SELECT id, topic, category, source, source_url, status, opportunity_score, first_detected,
       source_metadata
  FROM trends
 WHERE $1::text IS NULL OR status = $1
 ORDER BY status, opportunity_score DESC, first_detected,
          (source_metadata->>'position')::int NULLS LAST, id
 LIMIT $2;

-- name: trend_list_ids_like :many
-- parameters: prefix
SELECT id FROM trends WHERE id::text LIKE $1 || '%' LIMIT 2;

-- name: trend_list_free :many
-- parameters: topics_normalized
-- Of these topics, in this order, those that no video was made of and no active run is about.
SELECT t.id
  FROM unnest($1::text[]) WITH ORDINALITY AS wanted(topic_normalized, place)
  JOIN trends t ON t.topic_normalized = wanted.topic_normalized AND t.source = 'custom'
               AND t.status = 'qualified'
 WHERE NOT EXISTS (SELECT 1 FROM workflow_executions e
                    WHERE e.trend_id = t.id
                      AND e.status IN ('pending', 'queued', 'running', 'waiting', 'retrying'))
 ORDER BY wanted.place;
