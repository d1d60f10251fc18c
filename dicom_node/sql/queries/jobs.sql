-- Statements of instances and jobs, by name. A colon marks a parameter.

-- name: add_event
-- Something happened to a study.
INSERT INTO event (at, study_instance_uid, job_id, action, reason)
VALUES (:now, :study_instance_uid, :job_id, :action, :reason);

-- name: add_duplicate_once
-- An object came again, as it may any number of times: the first time is told.
INSERT INTO event (at, study_instance_uid, job_id, action, reason)
SELECT :now, :study_instance_uid, NULL, 'duplicate', :reason WHERE NOT EXISTS (
    SELECT 1 FROM event WHERE study_instance_uid = :study_instance_uid AND action = 'duplicate' AND reason = :reason
);

-- name: instance_by_uid
-- What is known of one instance.
SELECT study_instance_uid, digest FROM instance WHERE sop_instance_uid = :sop_instance_uid;

-- name: add_instance
-- A new instance, whose file is safely on disk.
INSERT INTO instance (
    sop_instance_uid, study_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid,
    kind, path, size_bytes, digest, urgency, calling_ae_title, received_at
) VALUES (
    :sop_instance_uid, :study_instance_uid, :series_instance_uid, :sop_class_uid, :transfer_syntax_uid,
    :kind, :path, :size_bytes, :digest, :urgency, :calling_ae_title, :now
);

-- name: add_conflict
-- Other bytes under a known SOP Instance UID; sent once more, they are still one conflict, and no row is returned.
INSERT OR IGNORE INTO conflict (sop_instance_uid, digest, study_instance_uid, path, calling_ae_title, received_at)
VALUES (:sop_instance_uid, :digest, :study_instance_uid, :path, :calling_ae_title, :now) RETURNING digest;

-- name: instances_of_study
-- Everything received for a study, in the order of arrival.
SELECT sop_instance_uid, sop_class_uid, transfer_syntax_uid, series_instance_uid, study_instance_uid,
       kind, path, size_bytes, digest, urgency
FROM instance WHERE study_instance_uid = :study_instance_uid ORDER BY rowid;

-- name: newest_job
-- The job that says how a study stands.
SELECT * FROM job WHERE study_instance_uid = :study_instance_uid ORDER BY job_id DESC LIMIT 1;

-- name: job_by_id
-- One job.
SELECT * FROM job WHERE job_id = :job_id;

-- name: open_job
-- The first image of a study, or the first after its last job left the waiting room; as urgent as all that came so far.
INSERT INTO job (study_instance_uid, state, reason, opened_at, last_image_at, urgency)
SELECT :study_instance_uid, :state, :reason, :now, :now, coalesce(max(urgency), 'routine')
FROM instance WHERE study_instance_uid = :study_instance_uid AND kind = 'image' RETURNING *;

-- name: note_image
-- One more image; a clock that was set back does not make the study older, nor a less urgent image the study less urgent.
UPDATE job SET last_image_at = max(last_image_at, :now), urgency = max(urgency, :urgency) WHERE job_id = :job_id;

-- name: move_job
-- A step of the state machine. Only a running job has a lease, and this ends it.
UPDATE job SET state = :state, reason = :reason, worker = NULL, lease_until = NULL WHERE job_id = :job_id;

-- name: lease_job
-- The step to running: a worker takes the job, for a time; the reason stays that of its wait.
UPDATE job SET state = 'running', worker = :worker, lease_until = :lease_until, attempt = attempt + 1
WHERE job_id = :job_id RETURNING *;

-- name: extend_lease
-- A sign of life, if the lease is still this worker's.
UPDATE job SET lease_until = :lease_until WHERE job_id = :job_id AND state = 'running' AND worker = :worker
RETURNING job_id;

-- name: note_waiting
-- What a study that is being received waits for; written when that is news.
UPDATE job SET reason = :reason
WHERE study_instance_uid = :study_instance_uid AND state = 'receiving' AND reason <> :reason;

-- name: note_settled
-- When the study was judged complete, and whether it is a large one; null when a late image proved that wrong.
UPDATE job SET settled_at = :settled_at, is_large = :is_large WHERE job_id = :job_id;

-- name: size_of_study
-- How many images a study has, and their bytes.
SELECT count(*) AS images, coalesce(sum(size_bytes), 0) AS size_bytes
FROM instance WHERE study_instance_uid = :study_instance_uid AND kind = 'image';

-- name: note_outcome
-- What the analysis came to.
UPDATE job SET outcome = :outcome, summary = :summary WHERE job_id = :job_id;

-- name: begin_anew
-- A person lets it go on: it has all its attempts again.
UPDATE job SET attempt = 0, finished_at = NULL WHERE job_id = :job_id;

-- name: note_finished
-- When the analysis ended, well or not.
UPDATE job SET finished_at = :now WHERE job_id = :job_id;

-- name: studies_receiving
-- Studies that are still arriving, as the settling decision sees them, the most urgent first.
SELECT study_instance_uid, opened_at, last_image_at, urgency, image_count
FROM job JOIN study USING (study_instance_uid) WHERE state = 'receiving'
ORDER BY urgency DESC, opened_at, job_id;

-- name: senders_of_studies_receiving
-- Who has sent images of these studies, and how much else; what this node made itself does not count.
SELECT study_instance_uid, calling_ae_title, count(*) AS instance_count
FROM job JOIN instance USING (study_instance_uid) WHERE state = 'receiving' AND kind <> 'own result'
GROUP BY study_instance_uid, calling_ae_title HAVING sum(kind = 'image') > 0 ORDER BY calling_ae_title;

-- name: own_objects
-- A row if this node has made results of a study, or such have come back to it.
SELECT 1 FROM job JOIN result USING (job_id) WHERE study_instance_uid = :study_instance_uid
UNION SELECT 1 FROM instance WHERE study_instance_uid = :study_instance_uid AND kind = 'own result';

-- name: jobs_without_lease
-- Running jobs whose worker has not been heard of in time.
SELECT * FROM job WHERE state = 'running' AND lease_until <= :now ORDER BY job_id;

-- name: next_job
-- The job whose turn it is, of a study that no other worker is busy with: one that was overtaken often enough, else the
-- most urgent; of several the one that waits longest. A large one only while few of them are under way, or urgent.
SELECT * FROM job WHERE state = 'ready' AND NOT EXISTS (
    SELECT 1 FROM job AS other WHERE other.study_instance_uid = job.study_instance_uid AND other.state = 'running'
) AND (NOT is_large OR urgency = 'urgent' OR :most_large > (
    SELECT count(*) FROM job AS large WHERE large.state = 'running' AND large.is_large
)) ORDER BY overtaken >= :most_overtaken DESC, urgency DESC, settled_at, job_id LIMIT 1;

-- name: note_overtaken
-- The job that has waited longest of those that may be claimed is passed over, if it has waited longer than the one that
-- is about to be.
UPDATE job SET overtaken = overtaken + 1 WHERE job_id = (
    SELECT job_id FROM job WHERE state = 'ready' AND NOT EXISTS (
        SELECT 1 FROM job AS other WHERE other.study_instance_uid = job.study_instance_uid AND other.state = 'running'
    ) AND (NOT is_large OR urgency = 'urgent' OR :most_large > (
        SELECT count(*) FROM job AS large WHERE large.state = 'running' AND large.is_large
    )) ORDER BY settled_at, job_id LIMIT 1
) AND (settled_at, job_id) < (:settled_at, :job_id);

-- name: series_arriving
-- How much has come of each series of the studies that are still arriving, the most urgent study first.
SELECT job.study_instance_uid, series_instance_uid, count(*) AS image_count, sum(size_bytes) AS size_bytes,
       max(received_at) AS last_received_at
FROM job JOIN instance USING (study_instance_uid) WHERE state = 'receiving' AND kind = 'image'
GROUP BY job_id, series_instance_uid ORDER BY job.urgency DESC, opened_at, job_id, min(received_at);
