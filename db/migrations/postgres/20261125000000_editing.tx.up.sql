-- As of names, the index holds 255 characters.
CREATE INDEX portfolio_links_url ON portfolio_links (substr(url, 1, 255), id);

--bun:split

-- Names are ordered by code point in every locale, as on SQLite.
ALTER TABLE images ALTER COLUMN name TYPE text COLLATE "C", ADD COLUMN alt text;

--bun:split

CREATE INDEX images_name ON images (substr(name, 1, 255), id);

--bun:split

CREATE INDEX images_created_at ON images (created_at, id);

--bun:split

-- To delete an image, rows with the same file are looked up. Paths may begin with
-- slashes, and be longer than an entry of another kind of index.
CREATE INDEX images_path ON images USING hash (ltrim(path, '/'));

--bun:split

CREATE INDEX thumbnails_path ON thumbnails USING hash (ltrim(path, '/'));

--bun:split

DROP INDEX portfolio_links_image_id;

--bun:split

-- The links of an image are read by ascending id.
CREATE INDEX portfolio_links_image_id ON portfolio_links (image_id, id);

--bun:split

-- Searches of images use an index of trigrams, like those of links.
DO $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX images_search ON images USING gin (name gin_trgm_ops, alt gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
  RAISE WARNING 'searches are slow without the extension pg_trgm: %', SQLERRM;
END
$$;

--bun:split

-- A link without a position is at its id, so that existing rows, and those that
-- other programs insert, have one.
ALTER TABLE portfolio_links ADD COLUMN position double precision CHECK (position BETWEEN -1e300 AND 1e300);

--bun:split

CREATE INDEX portfolio_links_portfolio_id_position ON portfolio_links (portfolio_id, COALESCE(position, CAST(id AS double precision)), id);
