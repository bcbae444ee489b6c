CREATE TABLE users (
  id integer PRIMARY KEY AUTOINCREMENT,
  username text NOT NULL UNIQUE,
  is_active boolean NOT NULL DEFAULT true,
  is_staff boolean NOT NULL DEFAULT false,
  is_admin boolean NOT NULL DEFAULT false,
  created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);

--bun:split

CREATE TABLE user_permissions (
  user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  code integer NOT NULL,
  PRIMARY KEY (user_id, code)
);

--bun:split

CREATE TABLE tokens (
  id integer PRIMARY KEY AUTOINCREMENT,
  user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  key_hash blob NOT NULL UNIQUE,
  created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  label text,
  expires_at text
);

--bun:split

CREATE INDEX tokens_user_id ON tokens (user_id);

--bun:split

CREATE TABLE portfolios (
  id integer PRIMARY KEY AUTOINCREMENT,
  name text NOT NULL,
  created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  updated_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);

--bun:split

CREATE TABLE images (
  id integer PRIMARY KEY AUTOINCREMENT,
  type text NOT NULL,
  name text NOT NULL,
  path text NOT NULL,
  size bigint NOT NULL,
  width integer,
  height integer,
  mode text,
  created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  mime_type text,
  placeholder text,
  source_hash blob
);

--bun:split

CREATE INDEX images_source_hash ON images (source_hash);

--bun:split

CREATE TABLE thumbnails (
  id integer PRIMARY KEY AUTOINCREMENT,
  image_id bigint NOT NULL REFERENCES images ON DELETE CASCADE,
  path text NOT NULL,
  size integer,
  width integer,
  height integer,
  file_size bigint
);

--bun:split

CREATE INDEX thumbnails_image_id ON thumbnails (image_id);

--bun:split

CREATE TABLE portfolio_links (
  id integer PRIMARY KEY AUTOINCREMENT,
  portfolio_id bigint NOT NULL REFERENCES portfolios ON DELETE CASCADE,
  image_id bigint REFERENCES images ON DELETE SET NULL,
  name text NOT NULL,
  url text,
  description text,
  created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  updated_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);

--bun:split

CREATE INDEX portfolio_links_portfolio_id ON portfolio_links (portfolio_id, id);

--bun:split

CREATE INDEX portfolio_links_image_id ON portfolio_links (image_id);

--bun:split

-- Lists are read in the order of an index. A name can be longer than an index
-- entry, so the index holds the 255 characters that the API accepts.
CREATE INDEX portfolios_name ON portfolios (substr(name, 1, 255), id);

--bun:split

CREATE INDEX portfolios_created_at ON portfolios (created_at, id);

--bun:split

CREATE INDEX portfolios_updated_at ON portfolios (updated_at, id);

--bun:split

CREATE INDEX portfolio_links_name ON portfolio_links (substr(name, 1, 255), id);

--bun:split

CREATE INDEX portfolio_links_created_at ON portfolio_links (created_at, id);

--bun:split

CREATE INDEX portfolio_links_updated_at ON portfolio_links (updated_at, id);

--bun:split

CREATE INDEX portfolio_links_portfolio_id_name ON portfolio_links (portfolio_id, substr(name, 1, 255), id);

--bun:split

CREATE INDEX portfolio_links_portfolio_id_created_at ON portfolio_links (portfolio_id, created_at, id);

--bun:split

CREATE INDEX portfolio_links_portfolio_id_updated_at ON portfolio_links (portfolio_id, updated_at, id);

--bun:split

-- Times are text, which sorts by time only in one format: UTC with six
-- fractional digits. Rows loaded by other programs may use another.
CREATE TRIGGER portfolios_insert_times AFTER INSERT ON portfolios
WHEN NEW.created_at NOT GLOB '????-??-??T??:??:??.??????Z' OR NEW.updated_at NOT GLOB '????-??-??T??:??:??.??????Z'
BEGIN
  UPDATE portfolios SET
    created_at = strftime('%Y-%m-%dT%H:%M:%S', substr(created_at, 1, 19) || CASE WHEN substr(created_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(created_at, -6) ELSE '' END) ||
      printf('.%06dZ', min(999999, CAST(CAST('0' || substr(created_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER))),
    updated_at = strftime('%Y-%m-%dT%H:%M:%S', substr(updated_at, 1, 19) || CASE WHEN substr(updated_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(updated_at, -6) ELSE '' END) ||
      printf('.%06dZ', min(999999, CAST(CAST('0' || substr(updated_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER)))
  WHERE id = NEW.id;
END;

--bun:split

CREATE TRIGGER portfolio_links_insert_times AFTER INSERT ON portfolio_links
WHEN NEW.created_at NOT GLOB '????-??-??T??:??:??.??????Z' OR NEW.updated_at NOT GLOB '????-??-??T??:??:??.??????Z'
BEGIN
  UPDATE portfolio_links SET
    created_at = strftime('%Y-%m-%dT%H:%M:%S', substr(created_at, 1, 19) || CASE WHEN substr(created_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(created_at, -6) ELSE '' END) ||
      printf('.%06dZ', min(999999, CAST(CAST('0' || substr(created_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER))),
    updated_at = strftime('%Y-%m-%dT%H:%M:%S', substr(updated_at, 1, 19) || CASE WHEN substr(updated_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(updated_at, -6) ELSE '' END) ||
      printf('.%06dZ', min(999999, CAST(CAST('0' || substr(updated_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER)))
  WHERE id = NEW.id;
END;
