-- Migration 4: an image is as urgent as its request, its sender or its header says, a job as urgent as the most urgent
-- image of its study. The names are in alphabetical order: max and ORDER BY find the most urgent (domain/urgency.py).
ALTER TABLE instance ADD COLUMN urgency TEXT NOT NULL DEFAULT 'routine' CHECK (urgency IN ('low', 'routine', 'urgent'));
ALTER TABLE job ADD COLUMN urgency TEXT NOT NULL DEFAULT 'routine' CHECK (urgency IN ('low', 'routine', 'urgent'));
-- How often others were claimed while this one waited longest.
ALTER TABLE job ADD COLUMN overtaken INTEGER NOT NULL DEFAULT 0;
