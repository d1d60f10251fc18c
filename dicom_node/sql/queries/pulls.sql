-- Statements of what is pulled, by name. A colon marks a parameter.

-- name: instances_held
-- Every instance that was received under a study, what was set aside included.
SELECT sop_instance_uid FROM instance WHERE study_instance_uid = :study_instance_uid
UNION SELECT sop_instance_uid FROM conflict WHERE study_instance_uid = :study_instance_uid;

-- name: add_prior
-- A study that is being fetched as a prior, perhaps once more.
INSERT OR REPLACE INTO prior (study_instance_uid, noted_at) VALUES (:study_instance_uid, :now);

-- name: prior_by_study
-- A row if a study was fetched as a prior.
SELECT study_instance_uid, noted_at FROM prior WHERE study_instance_uid = :study_instance_uid;

-- name: forget_prior
-- That a study was fetched as a prior.
DELETE FROM prior WHERE study_instance_uid = :study_instance_uid;
