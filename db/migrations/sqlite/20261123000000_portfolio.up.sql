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
  created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);

--bun:split

CREATE TABLE thumbnails (
  id integer PRIMARY KEY AUTOINCREMENT,
  image_id bigint NOT NULL REFERENCES images ON DELETE CASCADE,
  path text NOT NULL,
  size integer
);

--bun:split

CREATE INDEX thumbnails_image_id ON thumbnails (image_id, id);

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
