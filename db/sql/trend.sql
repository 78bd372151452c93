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

-- name: trend_upsert_found :maybe
-- parameters: topic, topic_normalized, category, source, source_metadata, source_url, viral_score, competition_score, search_volume, qualified, expires_in, no_repeat
-- None when a video was made of it lately, or another language has the same words. A topic that is
-- offered again without its facts keeps those it has. Lists are stored in the order of their
-- normalised topics, so that two that run at once never wait for each other in a circle.
INSERT INTO trends AS t (topic, topic_normalized, category, source, source_metadata, source_url,
                         viral_score, competition_score, search_volume, status, expiry_time,
                         peak_time)
SELECT $1, $2::varchar, $3, $4::varchar, $5::jsonb, $6, $7, $8, $9::bigint,
       CASE WHEN $10::boolean THEN 'qualified' ELSE 'new' END,
       clock_timestamp() + $11::interval, clock_timestamp()
 WHERE NOT EXISTS (SELECT 1 FROM trends u
                    WHERE u.source = $4::varchar AND u.topic_normalized = $2::varchar
                      AND u.status IN ('used', 'rejected')
                      AND u.updated_at > clock_timestamp() - $12::interval)
    ON CONFLICT (source, topic_normalized) WHERE status IN ('new', 'analyzing', 'qualified')
    DO UPDATE
   SET viral_score = excluded.viral_score, competition_score = excluded.competition_score,
       search_volume = excluded.search_volume, expiry_time = excluded.expiry_time,
       peak_time = CASE WHEN excluded.viral_score > t.viral_score THEN clock_timestamp()
                        ELSE t.peak_time END,
       topic = CASE WHEN excluded.status = 'qualified' OR t.status = 'new'
                    THEN excluded.topic ELSE t.topic END,
       source_metadata = CASE WHEN excluded.status = 'qualified' OR t.status = 'new'
                              THEN excluded.source_metadata ELSE t.source_metadata END,
       source_url = CASE WHEN excluded.status = 'qualified' OR t.status = 'new'
                         THEN excluded.source_url ELSE t.source_url END,
       status = CASE WHEN excluded.status = 'qualified' AND t.status = 'new'
                     THEN 'qualified' ELSE t.status END
 WHERE t.source_metadata->>'language' IS NOT DISTINCT FROM excluded.source_metadata->>'language'
RETURNING id, (xmax = 0) AS inserted, status;

-- name: trend_expire :exec
-- parameters: none
UPDATE trends
   SET status = 'expired', processed_at = clock_timestamp()
 WHERE status IN ('new', 'analyzing', 'qualified') AND expiry_time <= clock_timestamp();

-- name: trend_list_qualified :many
-- parameters: language, niche, limit
-- What suits a channel of this primary language and niche comes first, so that no other language's
-- feed crowds it out of the limit. Then in the order of the file for equal scores: an operator's
-- own list is worked from its top.
SELECT id, topic, category, source, source_metadata, source_url,
       opportunity_score, first_detected
  FROM trends
 WHERE status = 'qualified' AND (expiry_time IS NULL OR expiry_time > clock_timestamp())
 ORDER BY (lower(split_part(replace(coalesce(source_metadata->>'language', 'en'), '_', '-'),
                            '-', 1)) = $1::text
           AND (category IS NULL OR $2::text IS NULL
                OR lower(btrim(category)) = lower(btrim($2::text)))) DESC,
          opportunity_score DESC, first_detected,
          (source_metadata->>'position')::int NULLS LAST, id
 LIMIT $3;

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

-- name: trend_forget_api_data :many
-- parameters: kept_days, forget_days
-- YouTube's terms: what its API told is refreshed or gone within 30 days. `kept_days` is how long a
-- topic stays after it was read, so that its expiry tells when that was. What nothing was made of
-- goes; of the others, what YouTube counted goes.
WITH old AS (
    SELECT t.id,
           EXISTS (SELECT 1 FROM videos v WHERE v.trend_id = t.id) AS made
      FROM trends t
     WHERE t.source = 'youtube' AND t.source_metadata <> '{}'
       AND t.expiry_time - make_interval(days => $1::int)
           <= clock_timestamp() - make_interval(days => $2::int)
), gone AS (
    DELETE FROM trends t USING old o WHERE t.id = o.id AND NOT o.made
), emptied AS (
    UPDATE trends t
       SET source_metadata = '{}', search_volume = NULL, growth_rate = NULL,
           geographic_data = '{}', demographic_data = '{}'
      FROM old o WHERE t.id = o.id AND o.made
)
SELECT id FROM old;
