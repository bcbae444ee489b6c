-- As of names, the index holds 255 characters.
CREATE INDEX portfolio_links_url ON portfolio_links (substr(url, 1, 255), id);

--bun:split

ALTER TABLE images ADD COLUMN alt text;

--bun:split

-- Lists of images are ordered by time, which is text, like that of links.
UPDATE OR IGNORE images SET
  created_at = strftime('%Y-%m-%dT%H:%M:%S', substr(created_at, 1, 19) || CASE WHEN substr(created_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(created_at, -6) ELSE '' END) ||
    printf('.%06dZ', min(999999, CAST(CAST('0' || substr(created_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER)))
WHERE created_at NOT GLOB '????-??-??T??:??:??.??????Z';

--bun:split

CREATE TRIGGER images_insert_times AFTER INSERT ON images
WHEN NEW.created_at NOT GLOB '????-??-??T??:??:??.??????Z'
BEGIN
  UPDATE images SET
    created_at = strftime('%Y-%m-%dT%H:%M:%S', substr(created_at, 1, 19) || CASE WHEN substr(created_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(created_at, -6) ELSE '' END) ||
      printf('.%06dZ', min(999999, CAST(CAST('0' || substr(created_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER)))
  WHERE id = NEW.id;
END;

--bun:split

CREATE INDEX images_name ON images (substr(name, 1, 255), id);

--bun:split

CREATE INDEX images_created_at ON images (created_at, id);

--bun:split

-- To delete an image, rows with the same file are looked up. Paths may begin with
-- slashes.
CREATE INDEX images_path ON images (ltrim(path, '/'));

--bun:split

CREATE INDEX thumbnails_path ON thumbnails (ltrim(path, '/'));

--bun:split

CREATE VIRTUAL TABLE images_search USING fts5(name, alt, content='images', content_rowid='id', detail=none, tokenize='trigram');

--bun:split

INSERT INTO images_search (images_search) VALUES ('rebuild');

--bun:split

CREATE TRIGGER images_search_insert AFTER INSERT ON images BEGIN
  INSERT INTO images_search (rowid, name, alt) VALUES (NEW.id, NEW.name, NEW.alt);
END;

--bun:split

CREATE TRIGGER images_search_update AFTER UPDATE OF id, name, alt ON images BEGIN
  INSERT INTO images_search (images_search, rowid, name, alt) VALUES ('delete', OLD.id, OLD.name, OLD.alt);
  INSERT INTO images_search (rowid, name, alt) VALUES (NEW.id, NEW.name, NEW.alt);
END;

--bun:split

CREATE TRIGGER images_search_delete AFTER DELETE ON images BEGIN
  INSERT INTO images_search (images_search, rowid, name, alt) VALUES ('delete', OLD.id, OLD.name, OLD.alt);
END;

--bun:split

-- A link without a position is at its id, so that existing rows, and those that
-- other programs insert, have one.
ALTER TABLE portfolio_links ADD COLUMN position double precision CHECK (position BETWEEN -1e300 AND 1e300);

--bun:split

CREATE INDEX portfolio_links_portfolio_id_position ON portfolio_links (portfolio_id, COALESCE(position, CAST(id AS double precision)), id);
