DROP INDEX IF EXISTS images_search;

--bun:split

DROP INDEX portfolio_links_image_id;

--bun:split

CREATE INDEX portfolio_links_image_id ON portfolio_links (image_id);

--bun:split

DROP INDEX thumbnails_path, images_path, images_created_at, images_name;

--bun:split

ALTER TABLE images DROP COLUMN alt, ALTER COLUMN name TYPE text COLLATE "default";

--bun:split

DROP INDEX portfolio_links_url;

--bun:split

ALTER TABLE portfolio_links DROP COLUMN position;
