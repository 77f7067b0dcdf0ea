-- What an image asks for at each launch: bounds as a JSON object, and the name of a runner. Without a name any runner may
-- launch it: runner_type says nothing, for clients that name none send one of its numbers, too.

ALTER TABLE images ADD COLUMN limits TEXT;
ALTER TABLE images ADD COLUMN runner TEXT;
