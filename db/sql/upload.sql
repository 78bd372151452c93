-- name: upload_find_live :maybe
-- parameters: video_id
SELECT id, marker, status, session_uri, youtube_video_id, youtube_account_id, file_sha256, fence
  FROM video_uploads
 WHERE video_id = $1 AND status IN ('reserved', 'uploading', 'uploaded', 'published', 'unknown')
   FOR UPDATE;

-- name: upload_insert :one
-- parameters: video_id, execution_id, account_id, expected_channel_id, fence, marker, sha256, size_bytes
INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, expected_channel_id, fence,
                           marker, file_sha256, size_bytes, status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'reserved')
RETURNING id;

-- name: upload_take_over :exec
-- parameters: upload_id, fence
UPDATE video_uploads SET fence = $2 WHERE id = $1;

-- name: upload_set_session :exec
-- parameters: video_id, fence, session_uri
UPDATE video_uploads
   SET session_uri = $3, status = 'uploading'
 WHERE video_id = $1 AND fence = $2 AND status IN ('reserved', 'uploading', 'unknown');

-- name: upload_set_uploaded :exec
-- parameters: video_id, fence, host_video_id
UPDATE video_uploads
   SET youtube_video_id = $3, status = 'uploaded'
 WHERE video_id = $1 AND fence = $2 AND status IN ('reserved', 'uploading', 'unknown', 'uploaded');

-- name: upload_set_published :exec
-- parameters: video_id, fence
UPDATE video_uploads
   SET status = 'published', session_uri = NULL
 WHERE video_id = $1 AND fence = $2 AND status IN ('uploaded', 'published');

-- name: upload_abandon :exec
-- parameters: upload_id
-- Only an attempt for which no session was kept: no byte of it was ever sent.
UPDATE video_uploads
   SET status = 'abandoned'
 WHERE id = $1 AND status = 'reserved' AND session_uri IS NULL;

-- name: upload_find_left :maybe
-- parameters: upload_id
-- An attempt with the run it was for; `sending` while a job is still at that run's upload.
SELECT u.id, u.execution_id, u.video_id, u.marker, u.status, u.session_uri, u.youtube_video_id,
       u.youtube_account_id, u.fence, e.status AS run_status, coalesce(c.name, '') AS channel_name,
       EXISTS (SELECT 1 FROM workflow_steps s
                 JOIN queue.job_queue j ON j.id = s.job_id AND j.status = 'processing'
                WHERE s.execution_id = e.id AND s.step_name = 'upload') AS sending
  FROM video_uploads u
  JOIN workflow_executions e ON e.id = u.execution_id
  LEFT JOIN channels c ON c.id = e.channel_id
 WHERE u.id = $1;

-- name: upload_settle :exec
-- parameters: upload_id, fence, status, host_video_id, note
-- What became of an attempt whose run was ended; nothing when a claim took it over meanwhile.
UPDATE video_uploads
   SET status = $3, youtube_video_id = coalesce($4, youtube_video_id), error_message = $5,
       session_uri = NULL
 WHERE id = $1 AND fence = $2 AND status IN ('reserved', 'uploading', 'unknown', 'uploaded');

-- name: upload_list_settling :many
-- parameters: lock
SELECT id, status FROM queue.job_queue WHERE lock = $1 AND status IN ('pending', 'processing')
   FOR UPDATE;

-- name: upload_find_of_run :maybe
-- parameters: execution_id
-- The latest attempt of a run.
SELECT status, youtube_video_id, error_message
  FROM video_uploads
 WHERE execution_id = $1
 ORDER BY created_at DESC
 LIMIT 1;
