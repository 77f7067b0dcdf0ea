-- When the attempt may run, and what its predecessors have used up: a program that starts again goes on from there.

ALTER TABLE retry_attempts ADD COLUMN next_attempt_at_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE retry_attempts ADD COLUMN retries_used BIGINT NOT NULL DEFAULT 0;
ALTER TABLE retry_attempts ADD COLUMN rate_limit_waited_ms BIGINT NOT NULL DEFAULT 0;
