-- Migration 11: whether a study was large when it settled (domain/fairness.py), so that it is not asked at each claim.
ALTER TABLE job ADD COLUMN is_large INTEGER NOT NULL DEFAULT 0 CHECK (is_large IN (0, 1));
