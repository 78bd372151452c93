-- name: provider_register :exec
-- parameters: provider
INSERT INTO provider_state (provider) VALUES ($1)
    ON CONFLICT DO NOTHING;

-- name: provider_lock :one
-- parameters: provider
-- The gate's state on the database's clock. The lock makes one probe of many who come at once.
SELECT paused_until, reason, max_concurrency,
       coalesce(paused_until > clock_timestamp(), false) AS paused,
       coalesce(probe_until > clock_timestamp(), false) AS probing
  FROM provider_state
 WHERE provider = $1
   FOR UPDATE;

-- name: provider_begin_probe :exec
-- parameters: provider, seconds
UPDATE provider_state
   SET probe_until = clock_timestamp() + make_interval(secs => $2::float8),
       updated_at = clock_timestamp()
 WHERE provider = $1 AND paused_until IS NOT NULL;

-- name: provider_pause :one
-- parameters: provider, seconds, reason
-- Calls that were under way together all report it: the pause is the same for each.
UPDATE provider_state
   SET paused_until = CASE WHEN paused_until > clock_timestamp() THEN paused_until
                           ELSE clock_timestamp() + make_interval(secs => $2::float8) END,
       reason = $3, probe_until = NULL, updated_at = clock_timestamp()
 WHERE provider = $1
RETURNING paused_until;

-- name: provider_resume :exec
-- parameters: provider
UPDATE provider_state
   SET paused_until = NULL, reason = NULL, probe_until = NULL, updated_at = clock_timestamp()
 WHERE provider = $1 AND paused_until IS NOT NULL;

-- name: provider_add_slots :exec
-- parameters: provider, slots
INSERT INTO provider_slots (provider, slot)
SELECT $1, slot FROM generate_series(1, $2::integer) slot
    ON CONFLICT DO NOTHING;

-- name: provider_take_slot :maybe
-- parameters: provider, slots, holder, seconds
-- SKIP LOCKED may miss a slot that is just being given back; whoever finds none asks again.
UPDATE provider_slots s
   SET holder = $3, leased_until = clock_timestamp() + make_interval(secs => $4::float8)
  FROM (SELECT slot
          FROM provider_slots
         WHERE provider = $1 AND slot <= $2
           AND (holder IS NULL OR leased_until <= clock_timestamp())
         ORDER BY slot
         LIMIT 1
           FOR UPDATE SKIP LOCKED) free
 WHERE s.provider = $1 AND s.slot = free.slot
RETURNING s.slot;

-- name: provider_keep_slot :exec
-- parameters: provider, slot, holder, seconds
UPDATE provider_slots
   SET leased_until = clock_timestamp() + make_interval(secs => $4::float8)
 WHERE provider = $1 AND slot = $2 AND holder = $3;

-- name: provider_free_slot :exec
-- parameters: provider, slot, holder
UPDATE provider_slots
   SET holder = NULL, leased_until = NULL
 WHERE provider = $1 AND slot = $2 AND holder = $3;

-- name: provider_notify :exec
-- parameters: dedupe_key, title, message
-- One unread notification an operator and cause.
INSERT INTO notifications (user_id, type, title, message, dedupe_key)
SELECT id, 'error', $2, $3, $1
  FROM users
 WHERE lower(username) = 'operator' AND deleted_at IS NULL
    ON CONFLICT (user_id, dedupe_key) WHERE dedupe_key IS NOT NULL AND NOT is_read DO NOTHING;

-- name: provider_settle_notification :exec
-- parameters: dedupe_key
-- What it warned of is over; the next time is news again.
UPDATE notifications
   SET is_read = true, read_at = clock_timestamp()
 WHERE dedupe_key = $1 AND NOT is_read;

-- name: provider_list_paused :many
-- parameters: none
SELECT provider, paused_until, reason
  FROM provider_state
 WHERE paused_until IS NOT NULL
 ORDER BY provider;
