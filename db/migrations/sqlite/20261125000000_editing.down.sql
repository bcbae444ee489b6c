DROP TRIGGER images_search_insert;

--bun:split

DROP TRIGGER images_search_update;

--bun:split

DROP TRIGGER images_search_delete;

--bun:split

DROP TABLE images_search;

--bun:split

DROP INDEX thumbnails_path;

--bun:split

DROP INDEX images_path;

--bun:split

DROP INDEX images_created_at;

--bun:split

DROP INDEX images_name;

--bun:split

DROP TRIGGER images_insert_times;

--bun:split

ALTER TABLE images DROP COLUMN alt;

--bun:split

DROP INDEX portfolio_links_url;

--bun:split

DROP INDEX portfolio_links_portfolio_id_position;

--bun:split

ALTER TABLE portfolio_links DROP COLUMN position;
