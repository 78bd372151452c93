-- name: reservation_moment :one
-- parameters: at
-- The moment that counts, its Pacific day and that day's end: by this server's clock, or as a replay
-- states it. Read after the locks were waited for: the wait may have crossed midnight.
SELECT m.now, p.today, (p.today + 1)::timestamp AT TIME ZONE 'America/Los_Angeles' AS midnight
  FROM (SELECT coalesce($1::timestamptz, clock_timestamp()) AS now) m
 CROSS JOIN LATERAL (SELECT (m.now AT TIME ZONE 'America/Los_Angeles')::date AS today) p;

-- name: reservation_get_channel :one
-- parameters: channel_id
-- What a channel says about its accounts: its own one, all that may upload for it, and whether its
-- videos go to a playlist.
SELECT c.youtube_account_id AS preferred_id, c.playlist_id IS NOT NULL AS has_playlist,
       ARRAY(SELECT ca.youtube_account_id FROM channel_accounts ca
              WHERE ca.channel_id = c.id) AS account_ids
  FROM channels c
 WHERE c.id = $1;

-- name: reservation_lock_accounts :many
-- parameters: account_ids
-- The accounts as they are once nobody else holds them, in the order everybody takes them in: no
-- deadlock. Never SKIP LOCKED: a busy account is no full one.
SELECT a.id, a.email, a.provider, a.channel_id,
       CASE WHEN a.provider = 'youtube' THEN coalesce(a.quota_project_id, a.id::text) END
           AS project,
       a.is_active, a.is_reserve, a.state, a.health_score, a.health_changed_at, a.uploads_today,
       a.upload_limit, a.quota_used_today, a.quota_limit, a.quota_date, a.cooldown_until,
       a.last_upload_at, a.consecutive_errors
  FROM youtube_accounts a
 WHERE a.id = ANY($1::uuid[])
 ORDER BY a.id
   FOR UPDATE OF a;

-- name: reservation_exists_overdue :one
-- parameters: account_ids, projects, day, now
-- Does a reservation of these accounts and projects hold units of today though its time is over, or
-- its run has ended?
SELECT EXISTS (
    SELECT 1
      FROM account_reservations r
      JOIN youtube_accounts a ON a.id = r.youtube_account_id
      JOIN workflow_executions e ON e.id = r.execution_id
     WHERE r.status = 'held' AND r.quota_date = $3
       AND (a.id = ANY($1::uuid[])
            OR (a.provider = 'youtube'
                AND coalesce(a.quota_project_id, a.id::text) = ANY($2::text[])))
       AND (r.expires_at <= $4
            OR e.status IN ('success', 'failed', 'cancelled', 'timeout'))
) AS found;

-- name: reservation_list_held :many
-- parameters: account_ids, projects, day, each
-- What the end of today's held reservations of these accounts and projects would give back: units
-- that were not drawn. The first ones of each account are enough to tell when an upload fits.
SELECT h.execution_id, h.account_id, h.project, h.expires_at, h.units, h.drawn, h.uploads
  FROM (SELECT r.execution_id, r.youtube_account_id AS account_id, p.project, r.expires_at, r.units, r.drawn,
               r.uploads,
               row_number() OVER (PARTITION BY r.youtube_account_id ORDER BY r.expires_at) AS nth
          FROM account_reservations r
          JOIN youtube_accounts a ON a.id = r.youtube_account_id
         CROSS JOIN LATERAL (SELECT CASE WHEN a.provider = 'youtube'
                                         THEN coalesce(a.quota_project_id, a.id::text) END
                                    AS project) p
         WHERE r.status = 'held' AND r.quota_date = $3
           AND (a.id = ANY($1::uuid[]) OR p.project = ANY($2::text[]))) h
 WHERE h.nth <= $4;

-- name: reservation_find_held :maybe
-- parameters: execution_id
SELECT id, youtube_account_id AS account_id, quota_date, units, drawn, covers, expires_at
  FROM account_reservations
 WHERE execution_id = $1 AND status = 'held';

-- name: reservation_grant :maybe
-- parameters: execution_id, account_id, project, day, buckets, bucket_units, uploads, account_units, units, covers, now, expires_at
-- The guarded increments of account and buckets, and the reservation for which they are made. All
-- rows are locked already, so that the order within does not matter. A run's reservation of this
-- account and day that is held already takes the units and what they cover. No row: a guard refused
-- after all, and the transaction must not be committed. The Pacific day rolls over here, by itself;
-- an account whose cooling is over is ready again.
WITH account AS (
    UPDATE youtube_accounts a
       SET uploads_today = c.uploads + $7::int,
           quota_used_today = c.units + $8::int,
           last_quota_reset = CASE WHEN a.quota_date < $4 THEN $11::timestamptz
                                   ELSE a.last_quota_reset END,
           quota_date = greatest(a.quota_date, $4),
           last_upload_at = CASE WHEN $7::int > 0 THEN $11::timestamptz ELSE a.last_upload_at END,
           state = CASE WHEN a.state = 'cooling'
                             AND (a.cooldown_until IS NULL OR a.cooldown_until <= $11::timestamptz)
                        THEN 'ready' ELSE a.state END,
           cooldown_until = CASE WHEN a.cooldown_until > $11::timestamptz
                                 THEN a.cooldown_until END
      FROM (SELECT id, CASE WHEN quota_date < $4 THEN 0 ELSE uploads_today END AS uploads,
                   CASE WHEN quota_date < $4 THEN 0 ELSE quota_used_today END AS units
              FROM youtube_accounts WHERE id = $2) c
     WHERE a.id = c.id
       AND ($7::int = 0 OR c.uploads + $7::int <= a.upload_limit)
       AND ($8::int = 0 OR c.units + $8::int <= a.quota_limit)
 RETURNING a.id
), charged AS (
    UPDATE quota_usage q
       SET used = q.used + b.units
      FROM unnest($5::text[], $6::int[]) AS b(bucket, units)
     WHERE q.quota_project_id = $3::text AND q.quota_date = $4 AND q.bucket = b.bucket
       AND q.used + b.units <= q.quota_limit
 RETURNING q.bucket
)
INSERT INTO account_reservations AS r (execution_id, youtube_account_id, quota_date, units, covers,
                                       uploads, expires_at)
SELECT $1, account.id, $4, $9, $10, $7, $12
  FROM account
 WHERE (SELECT count(*) FROM charged) = cardinality($5::text[])
    ON CONFLICT (execution_id) WHERE status = 'held' DO UPDATE
   SET units = r.units || (SELECT coalesce(jsonb_object_agg(
                               key, coalesce((r.units ->> key)::int, 0) + value::int), '{}')
                             FROM jsonb_each_text(excluded.units)),
       covers = r.covers || excluded.covers,
       uploads = r.uploads + excluded.uploads,
       expires_at = greatest(r.expires_at, excluded.expires_at)
 WHERE (r.youtube_account_id, r.quota_date) = (excluded.youtube_account_id, excluded.quota_date)
RETURNING id;

-- name: reservation_extend :exec
-- parameters: reservation_id, expires_at
UPDATE account_reservations SET expires_at = greatest(expires_at, $2)
 WHERE id = $1 AND status = 'held';

-- name: reservation_draw :maybe
-- parameters: reservation_id, bucket, units, method, at, hold_seconds, account_id
-- Take a request's units out of a reservation of today, before the request is sent: the caller's own,
-- else one of the account that covers the method. `uncovered` is what the reservation had not. A
-- reservation in use does not expire.
UPDATE account_reservations r
   SET drawn = jsonb_set(drawn, ARRAY[$2::text],
                         to_jsonb(coalesce((drawn ->> $2::text)::int, 0) + $3::int)),
       covers = CASE WHEN array_position(covers, $4::text) IS NULL THEN covers
                     ELSE covers[:array_position(covers, $4::text) - 1]
                          || covers[array_position(covers, $4::text) + 1:] END,
       expires_at = greatest(r.expires_at, m.now + make_interval(secs => $6::float8))
  FROM (SELECT coalesce($5::timestamptz, clock_timestamp()) AS now) m
 WHERE r.status = 'held'
   AND r.id = (SELECT h.id FROM account_reservations h
                WHERE h.status = 'held'
                  AND h.quota_date = (m.now AT TIME ZONE 'America/Los_Angeles')::date
                  AND (h.id = $1::uuid
                       OR (h.youtube_account_id = $7::uuid AND $4::text = ANY(h.covers)))
                ORDER BY (h.id = $1::uuid) IS TRUE DESC, h.expires_at
                LIMIT 1)
RETURNING greatest(0, least($3::int, coalesce((r.drawn ->> $2::text)::int, 0)
                                     - coalesce((r.units ->> $2::text)::int, 0))) AS uncovered;

-- name: reservation_list_over :many
-- parameters: at, execution_id
-- Held reservations whose time is over, or whose run has ended; with a run, all it holds.
SELECT r.id, r.execution_id, r.youtube_account_id AS account_id, r.quota_date
  FROM account_reservations r
  JOIN workflow_executions e ON e.id = r.execution_id
 WHERE r.status = 'held'
   AND CASE WHEN $2::uuid IS NOT NULL THEN r.execution_id = $2
            ELSE r.expires_at <= coalesce($1::timestamptz, clock_timestamp())
                 OR e.status IN ('success', 'failed', 'cancelled', 'timeout') END
 ORDER BY r.youtube_account_id, r.id;

-- name: reservation_end :maybe
-- parameters: reservation_id, status, reason, overdue_at
-- Spend or release; with `overdue_at`, only what is over by then. `sent`: bytes may have left for
-- this upload, whatever the meter drew.
UPDATE account_reservations r
   SET status = $2, ended_reason = $3
 WHERE r.id = $1 AND r.status = 'held'
   AND ($4::timestamptz IS NULL OR r.expires_at <= $4
        OR EXISTS (SELECT 1 FROM workflow_executions e
                    WHERE e.id = r.execution_id
                      AND e.status IN ('success', 'failed', 'cancelled', 'timeout')))
RETURNING r.execution_id, r.youtube_account_id AS account_id, r.quota_date, r.units, r.drawn,
          r.uploads,
          EXISTS (SELECT 1 FROM video_uploads u
                   WHERE u.execution_id = r.execution_id
                     AND u.youtube_account_id = r.youtube_account_id
                     AND (u.session_uri IS NOT NULL
                          OR u.status IN ('uploading', 'uploaded', 'published', 'unknown')))
              AS sent;

-- name: reservation_count_ended :one
-- parameters: execution_id, reason
SELECT count(*) AS n FROM account_reservations
 WHERE execution_id = $1 AND status <> 'held' AND ended_reason = $2;

-- name: reservation_refund_account :exec
-- parameters: account_id, day, uploads, units, total_units
-- Give back what a reservation of the day did not use; that of another day is over anyway.
UPDATE youtube_accounts a
   SET uploads_today = CASE WHEN a.quota_date = $2 THEN greatest(a.uploads_today - $3::int, 0)
                            ELSE a.uploads_today END,
       quota_used_today = CASE WHEN a.quota_date = $2
                               THEN greatest(a.quota_used_today - $4::int, 0)
                               ELSE a.quota_used_today END,
       total_quota_used = a.total_quota_used + $5::int
 WHERE a.id = $1;

-- name: reservation_count_upload :exec
-- parameters: account_id, now
-- A video was published with it.
UPDATE youtube_accounts
   SET total_uploads = total_uploads + 1, last_upload_at = $2::timestamptz, consecutive_errors = 0
 WHERE id = $1;
