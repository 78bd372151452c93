-- name: notification_raise :exec
-- parameters: type, title, message, dedupe_key
-- Tell the operator, once a cause until it is read.
INSERT INTO notifications (user_id, type, title, message, dedupe_key)
SELECT id, $1, $2, $3, $4
  FROM users
 WHERE lower(username) = 'operator' AND deleted_at IS NULL
    ON CONFLICT (user_id, dedupe_key) WHERE dedupe_key IS NOT NULL AND NOT is_read DO NOTHING;

-- name: notification_list :many
-- parameters: unread_only, before, before_id, limit
-- Newest first; (before, before_id) is the last row of the page before.
SELECT n.id, n.type, n.title, n.message, n.action_url, n.is_read, n.read_at, n.created_at
  FROM notifications n
  JOIN users u ON u.id = n.user_id AND lower(u.username) = 'operator'
 WHERE (NOT $1::boolean OR NOT n.is_read)
   AND (n.expires_at IS NULL OR n.expires_at > clock_timestamp())
   AND ($2::timestamptz IS NULL OR (n.created_at, n.id) < ($2, $3::uuid))
 ORDER BY n.created_at DESC, n.id DESC
 LIMIT $4;

-- name: notification_list_ids_like :many
-- parameters: prefix
-- Two are enough to know that a prefix is ambiguous.
SELECT id FROM notifications WHERE id::text LIKE $1 || '%' LIMIT 2;

-- name: notification_mark_read :maybe
-- parameters: notification_id
-- None when it was read before.
UPDATE notifications SET is_read = true, read_at = clock_timestamp()
 WHERE id = $1 AND NOT is_read
RETURNING id;

-- name: notification_mark_all_read :exec
-- parameters: none
UPDATE notifications n SET is_read = true, read_at = clock_timestamp()
  FROM users u
 WHERE u.id = n.user_id AND lower(u.username) = 'operator' AND NOT n.is_read;
