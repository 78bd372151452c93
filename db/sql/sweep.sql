-- What may go: files that no row names, scratch folders that no run will come back to.

-- name: sweep_list_kept :many
-- parameters: urls, video_ids
-- Of these files those that stay: a row names them, or a run is making that video now and may be about
-- to name them.
SELECT f.url
  FROM unnest($1::text[], $2::uuid[]) AS f(url, video_id)
 WHERE EXISTS (SELECT 1 FROM video_artifacts a WHERE a.video_id = f.video_id AND a.url = f.url)
    OR EXISTS (SELECT 1 FROM workflow_executions e
                WHERE e.video_id = f.video_id
                  AND e.status IN ('pending', 'queued', 'running', 'waiting', 'retrying'));

-- name: sweep_list_runs :many
-- parameters: execution_ids
-- How long ago each of these runs ended, in seconds; NULL for one that has not.
SELECT id, status,
       extract(epoch FROM clock_timestamp() - completed_at)::float8 AS ended_seconds
  FROM workflow_executions
 WHERE id = ANY($1::uuid[]);
