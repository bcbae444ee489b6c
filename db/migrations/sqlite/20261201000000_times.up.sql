-- Times are text, which sorts by time only in one form: UTC with six fractional digits.
-- Other programs may write other forms of ISO 8601, which triggers convert, and texts that
-- are no times of the years 1 to 9999, which they refuse. LIMIT keeps SQLite from copying
-- expressions into each other.
DROP TRIGGER portfolios_insert_times;

--bun:split

DROP TRIGGER portfolio_links_insert_times;

--bun:split

DROP TRIGGER images_insert_times;

--bun:split

CREATE TRIGGER users_times_update AFTER UPDATE OF id, created_at ON users
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6)))
BEGIN
  UPDATE users SET
    created_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE created_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(created_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1)
  WHERE id = NEW.id;
  SELECT RAISE(ABORT, 'users.created_at must be a time such as 2026-01-13T10:05:43Z')
    FROM users WHERE id = NEW.id AND created_at IS NOT OLD.created_at AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER users_times_insert AFTER INSERT ON users
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6)))
BEGIN
  UPDATE users SET created_at = created_at WHERE id = NEW.id; -- users_times_update converts them
  SELECT RAISE(ABORT, 'users.created_at must be a time such as 2026-01-13T10:05:43Z') FROM users WHERE id = NEW.id AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER tokens_times_update AFTER UPDATE OF id, created_at, expires_at ON tokens
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6))) OR
  (NEW.expires_at < '0001' OR NEW.expires_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.expires_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.expires_at, 21, 6)))
BEGIN
  UPDATE tokens SET
    created_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE created_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(created_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1),
    expires_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE expires_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(expires_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1)
  WHERE id = NEW.id;
  SELECT RAISE(ABORT, 'tokens.created_at must be a time such as 2026-01-13T10:05:43Z')
    FROM tokens WHERE id = NEW.id AND created_at IS NOT OLD.created_at AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
  SELECT RAISE(ABORT, 'tokens.expires_at must be a time such as 2026-01-13T10:05:43Z')
    FROM tokens WHERE id = NEW.id AND expires_at IS NOT OLD.expires_at AND (expires_at < '0001' OR expires_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(expires_at, 1, 19), '+0 days') || printf('%06uZ', substr(expires_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER tokens_times_insert AFTER INSERT ON tokens
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6))) OR
  (NEW.expires_at < '0001' OR NEW.expires_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.expires_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.expires_at, 21, 6)))
BEGIN
  UPDATE tokens SET created_at = created_at, expires_at = expires_at WHERE id = NEW.id; -- tokens_times_update converts them
  SELECT RAISE(ABORT, 'tokens.created_at must be a time such as 2026-01-13T10:05:43Z') FROM tokens WHERE id = NEW.id AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
  SELECT RAISE(ABORT, 'tokens.expires_at must be a time such as 2026-01-13T10:05:43Z') FROM tokens WHERE id = NEW.id AND (expires_at < '0001' OR expires_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(expires_at, 1, 19), '+0 days') || printf('%06uZ', substr(expires_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER portfolios_times_update AFTER UPDATE OF id, created_at, updated_at ON portfolios
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6))) OR
  (NEW.updated_at < '0001' OR NEW.updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.updated_at, 21, 6)))
BEGIN
  UPDATE portfolios SET
    created_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE created_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(created_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1),
    updated_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE updated_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(updated_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1)
  WHERE id = NEW.id;
  SELECT RAISE(ABORT, 'portfolios.created_at must be a time such as 2026-01-13T10:05:43Z')
    FROM portfolios WHERE id = NEW.id AND created_at IS NOT OLD.created_at AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
  SELECT RAISE(ABORT, 'portfolios.updated_at must be a time such as 2026-01-13T10:05:43Z')
    FROM portfolios WHERE id = NEW.id AND updated_at IS NOT OLD.updated_at AND (updated_at < '0001' OR updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(updated_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER portfolios_times_insert AFTER INSERT ON portfolios
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6))) OR
  (NEW.updated_at < '0001' OR NEW.updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.updated_at, 21, 6)))
BEGIN
  UPDATE portfolios SET created_at = created_at, updated_at = updated_at WHERE id = NEW.id; -- portfolios_times_update converts them
  SELECT RAISE(ABORT, 'portfolios.created_at must be a time such as 2026-01-13T10:05:43Z') FROM portfolios WHERE id = NEW.id AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
  SELECT RAISE(ABORT, 'portfolios.updated_at must be a time such as 2026-01-13T10:05:43Z') FROM portfolios WHERE id = NEW.id AND (updated_at < '0001' OR updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(updated_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER images_times_update AFTER UPDATE OF id, created_at ON images
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6)))
BEGIN
  UPDATE images SET
    created_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE created_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(created_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1)
  WHERE id = NEW.id;
  SELECT RAISE(ABORT, 'images.created_at must be a time such as 2026-01-13T10:05:43Z')
    FROM images WHERE id = NEW.id AND created_at IS NOT OLD.created_at AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER images_times_insert AFTER INSERT ON images
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6)))
BEGIN
  UPDATE images SET created_at = created_at WHERE id = NEW.id; -- images_times_update converts them
  SELECT RAISE(ABORT, 'images.created_at must be a time such as 2026-01-13T10:05:43Z') FROM images WHERE id = NEW.id AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER portfolio_links_times_update AFTER UPDATE OF id, created_at, updated_at ON portfolio_links
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6))) OR
  (NEW.updated_at < '0001' OR NEW.updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.updated_at, 21, 6)))
BEGIN
  UPDATE portfolio_links SET
    created_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE created_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(created_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1),
    updated_at = (
      SELECT CASE WHEN date(substr(text, 1, 10), '+0 days') = substr(text, 1, 10) AND strftime('%s', text) IS NOT NULL AND second >= '0001' AND instr(text, '.') IN (0, 20)
        THEN second || printf('.%06dZ', min(999999, CAST(CASE instr(text, '.') WHEN 20 THEN CAST('0' || substr(text, 20) AS REAL) ELSE 0 END * 1000000 + 0.5 AS INTEGER))) ELSE updated_at END
      FROM (
        SELECT text, strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN substr(text, 17, 1) <> ':' THEN text
          WHEN substr(text, -6) GLOB '[-+]??:??' THEN substr(text, 1, 19) || substr(text, -6) ELSE substr(text, 1, 19) END, '+0 days') AS second
        FROM (
          SELECT CASE WHEN written GLOB '*:*[-+][0-9][0-9]' THEN written || ':00'
            WHEN written GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(written, 1, length(written) - 2) || ':' || substr(written, -2) ELSE written END AS text
          FROM (SELECT replace(upper(updated_at), ',', '.') AS written LIMIT 1) LIMIT 1
        ) LIMIT 1
      ) LIMIT 1)
  WHERE id = NEW.id;
  SELECT RAISE(ABORT, 'portfolio_links.created_at must be a time such as 2026-01-13T10:05:43Z')
    FROM portfolio_links WHERE id = NEW.id AND created_at IS NOT OLD.created_at AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
  SELECT RAISE(ABORT, 'portfolio_links.updated_at must be a time such as 2026-01-13T10:05:43Z')
    FROM portfolio_links WHERE id = NEW.id AND updated_at IS NOT OLD.updated_at AND (updated_at < '0001' OR updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(updated_at, 21, 6)));
END;

--bun:split

CREATE TRIGGER portfolio_links_times_insert AFTER INSERT ON portfolio_links
WHEN (NEW.created_at < '0001' OR NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.created_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.created_at, 21, 6))) OR
  (NEW.updated_at < '0001' OR NEW.updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(NEW.updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(NEW.updated_at, 21, 6)))
BEGIN
  UPDATE portfolio_links SET created_at = created_at, updated_at = updated_at WHERE id = NEW.id; -- portfolio_links_times_update converts them
  SELECT RAISE(ABORT, 'portfolio_links.created_at must be a time such as 2026-01-13T10:05:43Z') FROM portfolio_links WHERE id = NEW.id AND (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));
  SELECT RAISE(ABORT, 'portfolio_links.updated_at must be a time such as 2026-01-13T10:05:43Z') FROM portfolio_links WHERE id = NEW.id AND (updated_at < '0001' OR updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(updated_at, 21, 6)));
END;

--bun:split

-- The triggers convert the rows that exist. A text that is no time remains: no version can
-- read it, and migrate and check name its row.
UPDATE users SET created_at = created_at
WHERE (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));

--bun:split

UPDATE tokens SET created_at = created_at, expires_at = expires_at
WHERE (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6))) OR
  (expires_at < '0001' OR expires_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(expires_at, 1, 19), '+0 days') || printf('%06uZ', substr(expires_at, 21, 6)));

--bun:split

UPDATE portfolios SET created_at = created_at, updated_at = updated_at
WHERE (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6))) OR
  (updated_at < '0001' OR updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(updated_at, 21, 6)));

--bun:split

UPDATE images SET created_at = created_at
WHERE (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6)));

--bun:split

UPDATE portfolio_links SET created_at = created_at, updated_at = updated_at
WHERE (created_at < '0001' OR created_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || printf('%06uZ', substr(created_at, 21, 6))) OR
  (updated_at < '0001' OR updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || printf('%06uZ', substr(updated_at, 21, 6)));

--bun:split

-- SQLite stores values of other types than that of the column. The API cannot show them, so
-- triggers refuse them. A value that exists already remains, unless it is a text that was
-- stored as a blob, and migrate and check name its row.
CREATE TRIGGER users_values_insert BEFORE INSERT ON users BEGIN
  SELECT RAISE(ABORT, 'users.username must be text') WHERE typeof(NEW.username) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'users.is_active must be 0 or 1') WHERE NEW.is_active NOT IN (0, 1);
  SELECT RAISE(ABORT, 'users.is_staff must be 0 or 1') WHERE NEW.is_staff NOT IN (0, 1);
  SELECT RAISE(ABORT, 'users.is_admin must be 0 or 1') WHERE NEW.is_admin NOT IN (0, 1);
END;

--bun:split

CREATE TRIGGER users_values_update BEFORE UPDATE OF username, is_active, is_staff, is_admin ON users BEGIN
  SELECT RAISE(ABORT, 'users.username must be text') WHERE NEW.username IS NOT OLD.username AND typeof(NEW.username) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'users.is_active must be 0 or 1') WHERE NEW.is_active IS NOT OLD.is_active AND NEW.is_active NOT IN (0, 1);
  SELECT RAISE(ABORT, 'users.is_staff must be 0 or 1') WHERE NEW.is_staff IS NOT OLD.is_staff AND NEW.is_staff NOT IN (0, 1);
  SELECT RAISE(ABORT, 'users.is_admin must be 0 or 1') WHERE NEW.is_admin IS NOT OLD.is_admin AND NEW.is_admin NOT IN (0, 1);
END;

--bun:split

CREATE TRIGGER user_permissions_values_insert BEFORE INSERT ON user_permissions BEGIN
  SELECT RAISE(ABORT, 'user_permissions.user_id must be an integer') WHERE typeof(NEW.user_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'user_permissions.code must be an integer of 32 bits') WHERE typeof(NEW.code) NOT IN ('integer', 'null') OR NEW.code NOT BETWEEN -2147483648 AND 2147483647;
END;

--bun:split

CREATE TRIGGER user_permissions_values_update BEFORE UPDATE OF user_id, code ON user_permissions BEGIN
  SELECT RAISE(ABORT, 'user_permissions.user_id must be an integer') WHERE NEW.user_id IS NOT OLD.user_id AND typeof(NEW.user_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'user_permissions.code must be an integer of 32 bits') WHERE NEW.code IS NOT OLD.code AND (typeof(NEW.code) NOT IN ('integer', 'null') OR NEW.code NOT BETWEEN -2147483648 AND 2147483647);
END;

--bun:split

CREATE TRIGGER tokens_values_insert BEFORE INSERT ON tokens BEGIN
  SELECT RAISE(ABORT, 'tokens.user_id must be an integer') WHERE typeof(NEW.user_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'tokens.label must be text') WHERE typeof(NEW.label) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER tokens_values_update BEFORE UPDATE OF user_id, label ON tokens BEGIN
  SELECT RAISE(ABORT, 'tokens.user_id must be an integer') WHERE NEW.user_id IS NOT OLD.user_id AND typeof(NEW.user_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'tokens.label must be text') WHERE NEW.label IS NOT OLD.label AND typeof(NEW.label) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER portfolios_values_insert BEFORE INSERT ON portfolios BEGIN
  SELECT RAISE(ABORT, 'portfolios.name must be text') WHERE typeof(NEW.name) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER portfolios_values_update BEFORE UPDATE OF name ON portfolios BEGIN
  SELECT RAISE(ABORT, 'portfolios.name must be text') WHERE NEW.name IS NOT OLD.name AND typeof(NEW.name) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER images_values_insert BEFORE INSERT ON images BEGIN
  SELECT RAISE(ABORT, 'images.type must be text') WHERE typeof(NEW.type) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.name must be text') WHERE typeof(NEW.name) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.path must be text') WHERE typeof(NEW.path) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.size must be an integer') WHERE typeof(NEW.size) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'images.width must be an integer of 32 bits') WHERE typeof(NEW.width) NOT IN ('integer', 'null') OR NEW.width NOT BETWEEN -2147483648 AND 2147483647;
  SELECT RAISE(ABORT, 'images.height must be an integer of 32 bits') WHERE typeof(NEW.height) NOT IN ('integer', 'null') OR NEW.height NOT BETWEEN -2147483648 AND 2147483647;
  SELECT RAISE(ABORT, 'images.mode must be text') WHERE typeof(NEW.mode) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.mime_type must be text') WHERE typeof(NEW.mime_type) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.placeholder must be text') WHERE typeof(NEW.placeholder) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.alt must be text') WHERE typeof(NEW.alt) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER images_values_update BEFORE UPDATE OF type, name, path, size, width, height, mode, mime_type, placeholder, alt ON images BEGIN
  SELECT RAISE(ABORT, 'images.type must be text') WHERE NEW.type IS NOT OLD.type AND typeof(NEW.type) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.name must be text') WHERE NEW.name IS NOT OLD.name AND typeof(NEW.name) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.path must be text') WHERE NEW.path IS NOT OLD.path AND typeof(NEW.path) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.size must be an integer') WHERE NEW.size IS NOT OLD.size AND typeof(NEW.size) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'images.width must be an integer of 32 bits') WHERE NEW.width IS NOT OLD.width AND (typeof(NEW.width) NOT IN ('integer', 'null') OR NEW.width NOT BETWEEN -2147483648 AND 2147483647);
  SELECT RAISE(ABORT, 'images.height must be an integer of 32 bits') WHERE NEW.height IS NOT OLD.height AND (typeof(NEW.height) NOT IN ('integer', 'null') OR NEW.height NOT BETWEEN -2147483648 AND 2147483647);
  SELECT RAISE(ABORT, 'images.mode must be text') WHERE NEW.mode IS NOT OLD.mode AND typeof(NEW.mode) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.mime_type must be text') WHERE NEW.mime_type IS NOT OLD.mime_type AND typeof(NEW.mime_type) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.placeholder must be text') WHERE NEW.placeholder IS NOT OLD.placeholder AND typeof(NEW.placeholder) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'images.alt must be text') WHERE NEW.alt IS NOT OLD.alt AND typeof(NEW.alt) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER thumbnails_values_insert BEFORE INSERT ON thumbnails BEGIN
  SELECT RAISE(ABORT, 'thumbnails.image_id must be an integer') WHERE typeof(NEW.image_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'thumbnails.path must be text') WHERE typeof(NEW.path) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'thumbnails.size must be an integer of 32 bits') WHERE typeof(NEW.size) NOT IN ('integer', 'null') OR NEW.size NOT BETWEEN -2147483648 AND 2147483647;
  SELECT RAISE(ABORT, 'thumbnails.width must be an integer of 32 bits') WHERE typeof(NEW.width) NOT IN ('integer', 'null') OR NEW.width NOT BETWEEN -2147483648 AND 2147483647;
  SELECT RAISE(ABORT, 'thumbnails.height must be an integer of 32 bits') WHERE typeof(NEW.height) NOT IN ('integer', 'null') OR NEW.height NOT BETWEEN -2147483648 AND 2147483647;
  SELECT RAISE(ABORT, 'thumbnails.file_size must be an integer') WHERE typeof(NEW.file_size) NOT IN ('integer', 'null');
END;

--bun:split

CREATE TRIGGER thumbnails_values_update BEFORE UPDATE OF image_id, path, size, width, height, file_size ON thumbnails BEGIN
  SELECT RAISE(ABORT, 'thumbnails.image_id must be an integer') WHERE NEW.image_id IS NOT OLD.image_id AND typeof(NEW.image_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'thumbnails.path must be text') WHERE NEW.path IS NOT OLD.path AND typeof(NEW.path) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'thumbnails.size must be an integer of 32 bits') WHERE NEW.size IS NOT OLD.size AND (typeof(NEW.size) NOT IN ('integer', 'null') OR NEW.size NOT BETWEEN -2147483648 AND 2147483647);
  SELECT RAISE(ABORT, 'thumbnails.width must be an integer of 32 bits') WHERE NEW.width IS NOT OLD.width AND (typeof(NEW.width) NOT IN ('integer', 'null') OR NEW.width NOT BETWEEN -2147483648 AND 2147483647);
  SELECT RAISE(ABORT, 'thumbnails.height must be an integer of 32 bits') WHERE NEW.height IS NOT OLD.height AND (typeof(NEW.height) NOT IN ('integer', 'null') OR NEW.height NOT BETWEEN -2147483648 AND 2147483647);
  SELECT RAISE(ABORT, 'thumbnails.file_size must be an integer') WHERE NEW.file_size IS NOT OLD.file_size AND typeof(NEW.file_size) NOT IN ('integer', 'null');
END;

--bun:split

CREATE TRIGGER portfolio_links_values_insert BEFORE INSERT ON portfolio_links BEGIN
  SELECT RAISE(ABORT, 'portfolio_links.portfolio_id must be an integer') WHERE typeof(NEW.portfolio_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.image_id must be an integer') WHERE typeof(NEW.image_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.name must be text') WHERE typeof(NEW.name) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.url must be text') WHERE typeof(NEW.url) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.description must be text') WHERE typeof(NEW.description) NOT IN ('text', 'null');
END;

--bun:split

CREATE TRIGGER portfolio_links_values_update BEFORE UPDATE OF portfolio_id, image_id, name, url, description ON portfolio_links BEGIN
  SELECT RAISE(ABORT, 'portfolio_links.portfolio_id must be an integer') WHERE NEW.portfolio_id IS NOT OLD.portfolio_id AND typeof(NEW.portfolio_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.image_id must be an integer') WHERE NEW.image_id IS NOT OLD.image_id AND typeof(NEW.image_id) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.name must be text') WHERE NEW.name IS NOT OLD.name AND typeof(NEW.name) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.url must be text') WHERE NEW.url IS NOT OLD.url AND typeof(NEW.url) NOT IN ('text', 'null');
  SELECT RAISE(ABORT, 'portfolio_links.description must be text') WHERE NEW.description IS NOT OLD.description AND typeof(NEW.description) NOT IN ('text', 'null');
END;

--bun:split

UPDATE OR IGNORE users SET username = CAST(username AS text) WHERE typeof(username) = 'blob';

--bun:split

UPDATE OR IGNORE tokens SET label = CAST(label AS text) WHERE typeof(label) = 'blob';

--bun:split

UPDATE OR IGNORE portfolios SET name = CAST(name AS text) WHERE typeof(name) = 'blob';

--bun:split

UPDATE OR IGNORE images SET type = CAST(type AS text) WHERE typeof(type) = 'blob';

--bun:split

UPDATE OR IGNORE images SET name = CAST(name AS text) WHERE typeof(name) = 'blob';

--bun:split

UPDATE OR IGNORE images SET path = CAST(path AS text) WHERE typeof(path) = 'blob';

--bun:split

UPDATE OR IGNORE images SET mode = CAST(mode AS text) WHERE typeof(mode) = 'blob';

--bun:split

UPDATE OR IGNORE images SET mime_type = CAST(mime_type AS text) WHERE typeof(mime_type) = 'blob';

--bun:split

UPDATE OR IGNORE images SET placeholder = CAST(placeholder AS text) WHERE typeof(placeholder) = 'blob';

--bun:split

UPDATE OR IGNORE images SET alt = CAST(alt AS text) WHERE typeof(alt) = 'blob';

--bun:split

UPDATE OR IGNORE thumbnails SET path = CAST(path AS text) WHERE typeof(path) = 'blob';

--bun:split

UPDATE OR IGNORE portfolio_links SET name = CAST(name AS text) WHERE typeof(name) = 'blob';

--bun:split

UPDATE OR IGNORE portfolio_links SET url = CAST(url AS text) WHERE typeof(url) = 'blob';

--bun:split

UPDATE OR IGNORE portfolio_links SET description = CAST(description AS text) WHERE typeof(description) = 'blob';
