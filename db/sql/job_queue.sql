-- The job queue. First, under their own names, the statements that stand for Procrastinate's named
-- queries (procrastinate/sql/queries.sql) on queue.job_queue; the connector runs one when
-- Procrastinate runs the other. Their parameters are its placeholders, except where a comment says
-- otherwise. Job ids leave as text, payloads as JSON text (the application's json_loads decodes
-- them), priorities as Procrastinate's: ours is 5 minus theirs. The connector translates statuses.
-- Then, beginning with job_, worker_ and queue_, what Procrastinate has no query for.

-- name: defer_jobs :many
-- parameters: queue_names, task_names, priorities, locks, queueing_locks, payloads, scheduled_at
-- Procrastinate's placeholder `jobs`, taken apart into columns. No max_attempts: the task's retry
-- strategy alone decides. seq keeps the order given, which ids and timestamps cannot.
WITH inserted AS (
    INSERT INTO queue.job_queue (
        queue_name, job_type, priority, lock, queueing_lock, payload, scheduled_for, max_attempts)
    SELECT j.queue_name, j.task_name, j.priority, j.lock, j.queueing_lock, j.payload::jsonb,
           j.scheduled_at, NULL
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
                $7::timestamptz[])
         WITH ORDINALITY AS j(queue_name, task_name, priority, lock, queueing_lock, payload,
                              scheduled_at, position)
    ORDER BY j.position
    RETURNING id, seq)
SELECT id::text AS id FROM inserted ORDER BY seq

-- name: defer_periodic_job :one
-- parameters: queue, lock, queueing_lock, task_name, priority, periodic_id, defer_timestamp, args
-- The tick and its job are one statement: a job refused by its queueing lock uses up no tick. Ticks
-- outlive their jobs by 60 days, far longer than a worker looks back.
WITH forgotten AS (
    DELETE FROM queue.periodic_ticks t
    WHERE t.job_type = $4 AND t.periodic_id = $6 AND t.tick < $7 - 60 * 86400),
tick AS (
    INSERT INTO queue.periodic_ticks (job_type, periodic_id, tick, job_id)
    VALUES ($4, $6, $7, gen_random_uuid())
    ON CONFLICT DO NOTHING
    RETURNING job_id),
job AS (
    INSERT INTO queue.job_queue (
        id, queue_name, lock, queueing_lock, job_type, priority, payload, scheduled_for,
        max_attempts)
    SELECT tick.job_id, $1, $2, $3, $4, $5, ($8::text)::jsonb, NULL, NULL FROM tick
    RETURNING id)
SELECT (SELECT job.id::text FROM job) AS id

-- name: fetch_job :one
-- parameters: queues, worker_id
SELECT (f.job).id::text AS id, (f.job).status, (f.job).job_type AS task_name,
       5 - (f.job).priority AS priority, (f.job).lock, (f.job).queueing_lock,
       (f.job).payload::text AS args,
       coalesce((f.job).next_retry_at, (f.job).scheduled_for) AS scheduled_at,
       (f.job).queue_name, (f.job).attempts, (f.job).worker_id
FROM queue.job_fetch($1::text[], $2::bigint, false) AS f

-- name: select_stalled_jobs_by_started :many
-- parameters: nb_seconds, queue, task_name
SELECT id::text AS id, status, job_type AS task_name, 5 - priority AS priority, lock,
       queueing_lock, payload::text AS args, coalesce(next_retry_at, scheduled_for) AS scheduled_at,
       queue_name, attempts, worker_id, started_at
FROM queue.job_queue
WHERE status = 'processing'
  AND started_at < clock_timestamp() - make_interval(secs => $1::double precision)
  AND ($2::text IS NULL OR queue_name = $2) AND ($3::text IS NULL OR job_type = $3)
ORDER BY seq

-- name: select_stalled_jobs_by_heartbeat :many
-- parameters: queue, task_name, seconds_since_heartbeat
SELECT j.id::text AS id, j.status, j.job_type AS task_name, 5 - j.priority AS priority, j.lock,
       j.queueing_lock, j.payload::text AS args,
       coalesce(j.next_retry_at, j.scheduled_for) AS scheduled_at, j.queue_name, j.attempts,
       j.worker_id
FROM queue.job_queue j
LEFT JOIN queue.job_workers w ON w.id = j.worker_id
WHERE j.status = 'processing'
  AND (w.id IS NULL OR w.stopped_at IS NOT NULL
       OR w.last_heartbeat < clock_timestamp() - make_interval(secs => $3::double precision))
  AND ($1::text IS NULL OR j.queue_name = $1) AND ($2::text IS NULL OR j.job_type = $2)
ORDER BY j.seq

-- name: delete_old_jobs :exec
-- parameters: statuses, queue, nb_hours
DELETE FROM queue.job_queue
WHERE status = ANY($1::text[]) AND status IN ('completed', 'failed', 'cancelled', 'aborted')
  AND ($2::text IS NULL OR queue_name = $2)
  AND completed_at < clock_timestamp() - make_interval(secs => $3::double precision * 3600)

-- name: finish_job :maybe
-- parameters: job_id, status, delete_job
-- Without a claim: for the hand and for Procrastinate's own job manager; ours calls job_end.
WITH deleted AS (
    DELETE FROM queue.job_queue
    WHERE id = $1 AND $3 AND status IN ('pending', 'processing') RETURNING id),
updated AS (
    UPDATE queue.job_queue
    SET status = $2, abort_requested = false, next_retry_at = NULL,
        attempts = attempts + CASE status WHEN 'processing' THEN 1 ELSE 0 END,
        completed_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = $1 AND NOT $3 AND status IN ('pending', 'processing') RETURNING id)
SELECT id FROM deleted UNION ALL SELECT id FROM updated

-- name: cancel_job :one
-- parameters: job_id, abort, delete_job
WITH deleted AS (
    DELETE FROM queue.job_queue WHERE id = $1 AND $3 AND status = 'pending' RETURNING id),
updated AS (
    UPDATE queue.job_queue
    SET status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END,
        abort_requested = (status = 'processing'), updated_at = clock_timestamp(),
        completed_at = CASE status WHEN 'pending' THEN clock_timestamp() ELSE completed_at END
    WHERE id = $1
      AND ((status = 'pending' AND NOT $3) OR (status = 'processing' AND $2::boolean))
    RETURNING id)
SELECT coalesce((SELECT id FROM deleted), (SELECT id FROM updated))::text AS id

-- name: get_job_status :maybe
-- parameters: job_id
SELECT status FROM queue.job_queue WHERE id = $1

-- name: retry_job :one
-- parameters: job_id, retry_at, new_priority, new_queue_name, new_lock
-- Without a claim: for the hand and for Procrastinate's own job manager; ours calls job_end.
SELECT queue.job_retry_by_id($1, $2, $3, $4, $5) AS status

-- name: check_connection :one
-- parameters: none
SELECT to_regclass('queue.job_queue')::text AS check

-- name: count_jobs_status :many
-- parameters: none
SELECT count(*) AS count, status FROM queue.job_queue GROUP BY status ORDER BY status

-- name: list_jobs :many
-- parameters: id, queue_name, task_name, status, lock, queueing_lock, worker_id
SELECT id::text AS id, queue_name, job_type AS task_name, 5 - priority AS priority, lock,
       queueing_lock, payload::text AS args, status,
       coalesce(next_retry_at, scheduled_for) AS scheduled_at, attempts, abort_requested, worker_id
FROM queue.job_queue
WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR queue_name = $2)
  AND ($3::text IS NULL OR job_type = $3) AND ($4::text IS NULL OR status = $4)
  AND ($5::text IS NULL OR lock = $5) AND ($6::text IS NULL OR queueing_lock = $6)
  AND ($7::bigint IS NULL OR worker_id = $7)
ORDER BY seq

-- name: list_queues :many
-- parameters: queue_name, task_name, status, lock
SELECT s.name, sum(s.jobs)::bigint AS jobs_count, json_object_agg(s.status, s.jobs)::text AS stats
FROM (SELECT queue_name AS name, status, count(*) AS jobs FROM queue.job_queue
      WHERE ($1::text IS NULL OR queue_name = $1) AND ($2::text IS NULL OR job_type = $2)
        AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR lock = $4)
      GROUP BY queue_name, status) AS s
GROUP BY s.name ORDER BY s.name

-- name: list_tasks :many
-- parameters: queue_name, task_name, status, lock
SELECT s.name, sum(s.jobs)::bigint AS jobs_count, json_object_agg(s.status, s.jobs)::text AS stats
FROM (SELECT job_type AS name, status, count(*) AS jobs FROM queue.job_queue
      WHERE ($1::text IS NULL OR queue_name = $1) AND ($2::text IS NULL OR job_type = $2)
        AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR lock = $4)
      GROUP BY job_type, status) AS s
GROUP BY s.name ORDER BY s.name

-- name: list_locks :many
-- parameters: queue_name, task_name, status, lock
SELECT s.name, sum(s.jobs)::bigint AS jobs_count, json_object_agg(s.status, s.jobs)::text AS stats
FROM (SELECT lock AS name, status, count(*) AS jobs FROM queue.job_queue
      WHERE lock IS NOT NULL
        AND ($1::text IS NULL OR queue_name = $1) AND ($2::text IS NULL OR job_type = $2)
        AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR lock = $4)
      GROUP BY lock, status) AS s
GROUP BY s.name ORDER BY s.name

-- name: list_jobs_to_abort :many
-- parameters: queue_name
SELECT id::text AS id FROM queue.job_queue
WHERE status = 'processing' AND abort_requested AND ($1::text IS NULL OR queue_name = $1)

-- name: register_worker :one
-- parameters: none
INSERT INTO queue.job_workers DEFAULT VALUES RETURNING id AS worker_id

-- name: unregister_worker :exec
-- parameters: worker_id
UPDATE queue.job_workers SET stopped_at = clock_timestamp() WHERE id = $1 AND stopped_at IS NULL

-- name: update_heartbeat :exec
-- parameters: worker_id
-- A heartbeat after a rescue brings the worker back: it is not dead, and its new jobs are its own.
UPDATE queue.job_workers SET last_heartbeat = clock_timestamp(), stopped_at = NULL WHERE id = $1

-- name: prune_stalled_workers :many
-- parameters: seconds_since_heartbeat
UPDATE queue.job_workers SET stopped_at = clock_timestamp()
WHERE stopped_at IS NULL
  AND last_heartbeat < clock_timestamp() - make_interval(secs => $1::double precision)
RETURNING id AS worker_id

-- name: worker_register :one
-- parameters: name, host, pid, queues
INSERT INTO queue.job_workers (name, host, pid, queues) VALUES ($1, $2, $3, $4)
RETURNING id AS worker_id

-- name: worker_register_again :exec
-- parameters: worker_id, name, host, pid, queues
-- Under its id, which its session lock and its jobs have: somebody deleted the row.
INSERT INTO queue.job_workers (id, name, host, pid, queues) OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: worker_lock :one
-- parameters: worker_id
-- Held by the session until it ends; the rescue looks for it in pg_locks.
SELECT pg_try_advisory_lock(queue.job_worker_lock_class(), $1::integer) AS held

-- name: worker_rescue :one
-- parameters: none
SELECT rescued, quarantined FROM queue.job_rescue()

-- name: worker_delete_forgotten :exec
-- parameters: older_than_seconds
-- History stays readable: a worker that any job or attempt names stays, and so does a frozen one,
-- whose session still holds its lock. Jobs are read only if a worker is old enough to go.
DELETE FROM queue.job_workers w
WHERE w.stopped_at < now() - make_interval(secs => $1::double precision)
  AND w.last_heartbeat < now() - make_interval(secs => $1::double precision)
  AND NOT EXISTS (SELECT FROM queue.job_queue j WHERE j.worker_id = w.id)
  AND NOT EXISTS (SELECT FROM queue.job_attempts a WHERE a.worker_id = w.id)
  AND NOT EXISTS (
      SELECT FROM pg_locks l
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
        AND l.classid = queue.job_worker_lock_class()::oid AND l.objid = w.id::oid
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))

-- name: worker_release_strays :one
-- parameters: worker_id, running, claims
SELECT queue.job_release_strays($1, $2::uuid[], $3::bigint[]) AS released

-- name: queue_maintain :one
-- parameters: promote_limit, after_lock, lock_limit
SELECT queue.job_promote_due($1::integer) AS promoted, queue.job_heal_locks($2, $3) AS next_lock,
       queue.job_next_due_seconds() AS next_due_seconds

-- name: job_fetch :one
-- parameters: queues, worker_id, busy
SELECT (f.job).id::text AS id, (f.job).status, (f.job).job_type AS task_name,
       5 - (f.job).priority AS priority, (f.job).lock, (f.job).queueing_lock,
       (f.job).payload::text AS args,
       coalesce((f.job).next_retry_at, (f.job).scheduled_for) AS scheduled_at,
       (f.job).queue_name, (f.job).attempts, (f.job).worker_id,
       (f.job).claim, (f.job).started_at, (f.job).max_attempts, (f.job).crashes, f.next_due_seconds
FROM queue.job_fetch($1::text[], $2::bigint, $3::boolean) AS f

-- name: job_end :one
-- parameters: id, claim, worker_id, started_at, outcome, error, error_class, at, delay, priority, queue_name, lock, delete
-- The moment of a retry is `at`, or `delay` seconds by the clock of the database; "never" is the last
-- moment that Python can read.
SELECT queue.job_end($1, $2, $3, $4, $5, $6, $7,
    least('9999-12-31 23:59:59.999999Z', coalesce($8::timestamptz,
        clock_timestamp() + make_interval(secs => least($9::double precision, 2.5e11)))),
    $10::integer, $11::text, $12::text, $13::boolean) AS status

-- name: job_ended_as :maybe
-- parameters: id, claim
-- Read back after a COMMIT whose answer was lost: the job's status if this claim was its last.
SELECT status FROM queue.job_queue WHERE id = $1 AND claim = $2

-- name: job_insert :maybe
-- parameters: job_type, payload, queue_name, priority, scheduled_for, max_attempts, lock, queueing_lock, idempotency_key, requested_by, quiet_queue
-- No row when the idempotency key is taken: see job_find_by_key. quiet_queue is the queue if the
-- inserting worker takes the job up itself, else empty; the trigger that announces reads it once.
WITH hush AS MATERIALIZED (SELECT set_config('ytempire.quiet_queue', $11::text, true))
INSERT INTO queue.job_queue (
    job_type, payload, queue_name, priority, scheduled_for, max_attempts, lock, queueing_lock,
    idempotency_key, requested_by)
SELECT $1::text, $2::jsonb, $3::text, $4::integer, $5::timestamptz, $6::integer, $7::text,
       $8::text, $9::text, $10::text
FROM hush
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING id

-- name: job_find_by_key :one
-- parameters: idempotency_key, job_type, payload
SELECT id, job_type = $2 AND payload = $3 AS same FROM queue.job_queue WHERE idempotency_key = $1

-- name: queue_is_idle :one
-- parameters: queues
-- Nothing to run now in these queues (NULL: in any) and nothing running or to be rescued. Three
-- questions, each answered by its own partial index, whatever the history.
SELECT NOT EXISTS (
        SELECT FROM queue.job_queue j
        WHERE j.status = 'processing' AND ($1::text[] IS NULL OR j.queue_name = ANY($1)))
   AND NOT EXISTS (
        SELECT FROM queue.job_queue j
        WHERE j.status = 'pending' AND j.ready AND NOT j.blocked
          AND ($1::text[] IS NULL OR j.queue_name = ANY($1))
          AND NOT EXISTS (SELECT FROM queue.queue_state s
                          WHERE s.queue_name = j.queue_name AND s.paused_at IS NOT NULL))
   AND NOT EXISTS (
        SELECT FROM queue.job_queue j
        WHERE j.status = 'pending' AND NOT j.ready AND NOT j.blocked
          AND coalesce(j.next_retry_at, j.scheduled_for) <= now()
          AND ($1::text[] IS NULL OR j.queue_name = ANY($1))
          AND NOT EXISTS (SELECT FROM queue.queue_state s
                          WHERE s.queue_name = j.queue_name AND s.paused_at IS NOT NULL))
    AS idle

-- name: job_delete_ended :exec
-- parameters: id, claim
DELETE FROM queue.job_queue
WHERE id = $1 AND claim = $2 AND status IN ('completed', 'failed', 'cancelled', 'aborted')

-- name: job_find_between :many
-- parameters: first, last, most
-- Ids between two bounds: those that begin with a prefix.
SELECT id FROM queue.job_queue WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3

-- name: job_get :maybe
-- parameters: id
SELECT j.id, j.job_type, j.queue_name AS queue, j.priority, j.status, j.payload, j.attempts,
       j.max_attempts, j.crashes, j.ready, j.blocked, j.abort_requested, j.lock, j.queueing_lock,
       j.idempotency_key, j.requested_by, j.last_error, j.created_at, j.scheduled_for,
       j.next_retry_at, j.started_at, j.completed_at, j.worker_id, w.name AS worker_name,
       w.host AS worker_host, w.pid AS worker_pid, j.seq
FROM queue.job_queue j LEFT JOIN queue.job_workers w ON w.id = j.worker_id
WHERE j.id = $1

-- name: job_list :many
-- parameters: status, job_type, queue_name, before_created_at, before_seq, most
-- Newest first; before_ are those of the last job of the page before. Read from an index in this very
-- order; the optional filters leave it only while the plan is made for their values, as it is for the
-- first five runs of a session.
SELECT j.id, j.job_type, j.queue_name AS queue, j.priority, j.status, j.payload, j.attempts,
       j.max_attempts, j.crashes, j.ready, j.blocked, j.abort_requested, j.lock, j.queueing_lock,
       j.idempotency_key, j.requested_by, j.last_error, j.created_at, j.scheduled_for,
       j.next_retry_at, j.started_at, j.completed_at, j.worker_id, w.name AS worker_name,
       w.host AS worker_host, w.pid AS worker_pid, j.seq
FROM queue.job_queue j LEFT JOIN queue.job_workers w ON w.id = j.worker_id
WHERE ($1::text IS NULL OR j.status = $1) AND ($2::text IS NULL OR j.job_type = $2)
  AND ($3::text IS NULL OR j.queue_name = $3)
  AND ($4::timestamptz IS NULL OR (j.created_at, j.seq) < ($4, $5::bigint))
ORDER BY j.created_at DESC, j.seq DESC LIMIT $6

-- name: job_list_attempts :many
-- parameters: job_id
SELECT attempt, worker_id, started_at, finished_at, outcome, error_class, error_message
FROM queue.job_attempts WHERE job_id = $1 ORDER BY started_at, attempt

-- name: job_select_ids :many
-- parameters: statuses, job_type, queue_name, most
SELECT id FROM queue.job_queue
WHERE status = ANY($1::text[]) AND ($2::text IS NULL OR job_type = $2)
  AND ($3::text IS NULL OR queue_name = $3)
ORDER BY created_at, seq LIMIT $4

-- name: job_mark_retry :one
-- parameters: id, note
-- By an operator: a fresh start with all attempts, or an end to waiting.
SELECT status, waiting_id FROM queue.job_restart($1, $2)

-- name: job_mark_cancelled :maybe
-- parameters: id, note
UPDATE queue.job_queue
SET status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END,
    abort_requested = (status = 'processing'), last_error = $2, updated_at = clock_timestamp()
WHERE id = $1 AND status IN ('pending', 'processing')
RETURNING status

-- name: job_count_ended :one
-- parameters: older_than_seconds, statuses
SELECT count(*) AS jobs FROM queue.job_queue
WHERE status = ANY($2::text[]) AND status IN ('completed', 'failed', 'cancelled', 'aborted')
  AND completed_at < now() - make_interval(secs => $1::double precision)

-- name: job_delete_ended_batch :exec
-- parameters: older_than_seconds, statuses, most
-- A batch a transaction, so that retention never holds many rows nor much time.
DELETE FROM queue.job_queue WHERE id IN (
    SELECT j.id FROM queue.job_queue j
    WHERE j.status = ANY($2::text[]) AND j.status IN ('completed', 'failed', 'cancelled', 'aborted')
      AND j.completed_at < now() - make_interval(secs => $1::double precision)
    ORDER BY j.completed_at LIMIT $3 FOR UPDATE SKIP LOCKED)

-- name: queue_count_depth :many
-- parameters: none
-- Each part from the partial index that holds just it, so that history costs nothing.
SELECT d.queue_name AS queue, sum(d.ready)::bigint AS ready, sum(d.scheduled)::bigint AS scheduled,
       sum(d.blocked)::bigint AS blocked, sum(d.processing)::bigint AS processing
FROM (
    SELECT queue_name, count(*) AS ready, 0 AS scheduled, 0 AS blocked, 0 AS processing
    FROM queue.job_queue WHERE status = 'pending' AND ready AND NOT blocked GROUP BY queue_name
    UNION ALL
    SELECT queue_name, 0, count(*), 0, 0
    FROM queue.job_queue WHERE status = 'pending' AND NOT ready AND NOT blocked GROUP BY queue_name
    UNION ALL
    SELECT queue_name, 0, 0, count(*), 0
    FROM queue.job_queue
    WHERE lock IS NOT NULL AND status = 'pending' AND blocked
    GROUP BY queue_name
    UNION ALL
    SELECT queue_name, 0, 0, 0, count(*)
    FROM queue.job_queue WHERE status = 'processing' GROUP BY queue_name) AS d
GROUP BY d.queue_name ORDER BY d.queue_name

-- name: queue_find_oldest :many
-- parameters: none
-- How long the next job of each priority has been ready, the longest a queue: ten index probes a
-- queue, whatever the backlog.
SELECT q.name AS queue,
       max(extract(epoch FROM clock_timestamp() - coalesce(
           h.next_retry_at, greatest(h.scheduled_for, h.created_at), h.created_at)))::double precision
           AS seconds
FROM unnest(queue.job_waiting_queues()) AS q(name)
CROSS JOIN generate_series(1, 10) AS p(priority)
CROSS JOIN LATERAL (
    SELECT j.next_retry_at, j.scheduled_for, j.created_at FROM queue.job_queue j
    WHERE j.queue_name = q.name AND j.priority = p.priority
      AND j.status = 'pending' AND j.ready AND NOT j.blocked
    ORDER BY j.seq LIMIT 1) AS h
GROUP BY q.name ORDER BY q.name

-- name: queue_count_throughput :many
-- parameters: seconds
-- What ended in the last seconds, from the index of ended jobs.
SELECT queue_name AS queue, count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status <> 'completed') AS not_completed
FROM queue.job_queue
WHERE status IN ('completed', 'failed', 'cancelled', 'aborted')
  AND completed_at > now() - make_interval(secs => $1::double precision)
GROUP BY queue_name ORDER BY queue_name

-- name: queue_list_paused :many
-- parameters: none
SELECT queue_name AS queue, paused_at, paused_by, reason FROM queue.queue_state
WHERE paused_at IS NOT NULL ORDER BY queue_name

-- name: queue_mark_paused :exec
-- parameters: queue_name, paused_by, reason
INSERT INTO queue.queue_state (queue_name, paused_at, paused_by, reason)
VALUES ($1, clock_timestamp(), $2, $3)
ON CONFLICT (queue_name) DO UPDATE
SET paused_at = coalesce(queue.queue_state.paused_at, excluded.paused_at),
    paused_by = excluded.paused_by, reason = excluded.reason

-- name: queue_mark_resumed :maybe
-- parameters: queue_name, reason
-- Wakes the workers too. No row when the queue was not paused.
WITH resumed AS (
    UPDATE queue.queue_state SET paused_at = NULL, reason = $2
    WHERE queue_name = $1 AND paused_at IS NOT NULL RETURNING queue_name)
SELECT r.queue_name AS queue, queue.job_announce(r.queue_name, 'job_inserted', NULL)::text AS told
FROM resumed r

-- name: queue_now :one
-- parameters: none
SELECT clock_timestamp() AS now
