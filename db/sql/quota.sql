-- name: quota_get_policy :maybe
-- parameters: none
SELECT value FROM system_config WHERE key = 'youtube.quota';

-- name: quota_set_policy :exec
-- parameters: value
UPDATE system_config SET value = $1 WHERE key = 'youtube.quota';

-- name: quota_open :exec
-- parameters: projects, buckets, limits, day
-- The day's rows, as parallel arrays sorted by project and bucket; what is there stays.
INSERT INTO quota_usage (quota_project_id, bucket, quota_date, quota_limit)
SELECT o.project, o.bucket, $4, o.quota_limit
  FROM unnest($1::text[], $2::text[], $3::int[]) AS o(project, bucket, quota_limit)
 ORDER BY o.project, o.bucket
    ON CONFLICT DO NOTHING;

-- name: quota_lock :many
-- parameters: projects, day
-- Taken after the accounts, in one order by everybody.
SELECT quota_project_id AS project, bucket, used, quota_limit
  FROM quota_usage
 WHERE quota_project_id = ANY($1::text[]) AND quota_date = $2
 ORDER BY quota_project_id, bucket
   FOR UPDATE;

-- name: quota_refund :exec
-- parameters: project, day, buckets, units
UPDATE quota_usage q
   SET used = greatest(q.used - c.units, 0)
  FROM unnest($3::text[], $4::int[]) AS c(bucket, units)
 WHERE q.quota_project_id = $1 AND q.quota_date = $2 AND q.bucket = c.bucket;

-- name: quota_count_sent :exec
-- parameters: project, bucket, units, quota_limit, at
-- A request that no reservation covers: it counts, past the limit too.
INSERT INTO quota_usage AS q (quota_project_id, bucket, quota_date, used, quota_limit)
VALUES ($1, $2, (coalesce($5::timestamptz, clock_timestamp())
                 AT TIME ZONE 'America/Los_Angeles')::date, $3, $4)
    ON CONFLICT (quota_project_id, bucket, quota_date) DO UPDATE SET used = q.used + excluded.used;

-- name: quota_count_account :exec
-- parameters: account_id, units, total_units, at
-- The same on the account's own count of the day, which rolls over here too.
UPDATE youtube_accounts a
   SET quota_used_today = CASE WHEN a.quota_date < p.today THEN 0 ELSE a.quota_used_today END
                          + $2::int,
       uploads_today = CASE WHEN a.quota_date < p.today THEN 0 ELSE a.uploads_today END,
       last_quota_reset = CASE WHEN a.quota_date < p.today THEN p.now ELSE a.last_quota_reset END,
       quota_date = greatest(a.quota_date, p.today),
       total_quota_used = a.total_quota_used + $3::int
  FROM (SELECT m.now, (m.now AT TIME ZONE 'America/Los_Angeles')::date AS today
          FROM (SELECT coalesce($4::timestamptz, clock_timestamp()) AS now) m) p
 WHERE a.id = $1;

-- name: quota_count_uploads_left :one
-- parameters: project, day
-- Uploads that the accounts of a project may still make today.
SELECT coalesce(sum(greatest(a.upload_limit - CASE WHEN a.quota_date = $2 THEN a.uploads_today
                                                   ELSE 0 END, 0)), 0)::bigint AS n
  FROM youtube_accounts a
 WHERE a.provider = 'youtube' AND coalesce(a.quota_project_id, a.id::text) = $1
   AND a.is_active AND a.state IN ('ready', 'cooling');

-- name: quota_roll_over :exec
-- parameters: at
-- The sweep: counters of a day that is over go to 0 where no reservation did it. Accounts that are
-- busy are left to whoever has them.
UPDATE youtube_accounts a
   SET uploads_today = 0, quota_used_today = 0, quota_date = p.today, last_quota_reset = p.now
  FROM (SELECT m.now, (m.now AT TIME ZONE 'America/Los_Angeles')::date AS today
          FROM (SELECT coalesce($1::timestamptz, clock_timestamp()) AS now) m) p
 WHERE a.id IN (SELECT b.id FROM youtube_accounts b
                 WHERE b.quota_date < p.today ORDER BY b.id FOR UPDATE SKIP LOCKED);

-- name: quota_prune :exec
-- parameters: keep_days
DELETE FROM quota_usage
 WHERE quota_date < (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date - $1::int;

-- name: quota_list :many
-- parameters: project
-- Every project that an account belongs to, or that was used today, with its buckets of today.
WITH p AS (
    SELECT (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today
)
SELECT k.project, q.bucket, q.used, q.quota_limit, p.today AS quota_date,
       (p.today + 1)::timestamp AT TIME ZONE 'America/Los_Angeles' AS resets_at
  FROM p
 CROSS JOIN (SELECT DISTINCT coalesce(quota_project_id, id::text) AS project
               FROM youtube_accounts WHERE provider = 'youtube'
             UNION
             SELECT quota_project_id FROM quota_usage, p WHERE quota_date = p.today) k
  LEFT JOIN quota_usage q ON q.quota_project_id = k.project AND q.quota_date = p.today
 WHERE $1::text IS NULL OR k.project = $1
 ORDER BY k.project, q.bucket;

-- name: quota_set_limit :exec
-- parameters: project, bucket, quota_limit
-- Of the day under way; later days take it from system_config.
UPDATE quota_usage
   SET quota_limit = $3
 WHERE quota_project_id = $1 AND bucket = $2
   AND quota_date = (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date;
