-- Which call stored the checkpoint: the same call made again, after a lost answer, is told that it was the one.

ALTER TABLE checkpoints ADD COLUMN call_key BLOB;
