-- What was moved from the legacy system: a hash of each row as it was moved. So the next
-- run knows what changed since, and on which side.
CREATE TABLE moved_rows (
  kind text NOT NULL,
  "key" text NOT NULL, -- the id, or of a token its hash
  hash blob NOT NULL,
  PRIMARY KEY (kind, "key")
);
