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
