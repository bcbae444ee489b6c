-- The tables whose changes notify, and the triggers that notify. The xmin of a row changes
-- whenever the row is updated. Where a function was created with quote_all_identifiers = on,
-- the names of its search path have quotes, and mean the same.
WITH source AS MATERIALIZED (
	SELECT name, c.oid AS id, c.xmin AS version, c.relfilenode AS file,
		coalesce(c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid), true) AS ordinary
	FROM unnest(ARRAY['images', 'portfolio_links', 'portfolios', 'thumbnails', 'tokens', 'user_permissions', 'users']) AS name
	LEFT JOIN pg_class AS c ON c.oid = to_regclass(name)
), trigger AS MATERIALIZED (
	SELECT source.name, source.id AS table_id, t.tgname, t.tgenabled, t.oid, t.xmin AS version, p.xmin AS function_version,
		concat_ws(' ', source.name, t.tgname, t.tgenabled, t.tgtype, t.tgattr, encode(t.tgargs, 'hex'), t.tgqual IS NULL,
			t.tgoldtable, t.tgnewtable, p.proname, p.prosecdef,
			CASE WHEN p.proconfig = ARRAY['search_path="pg_catalog", "pg_temp"'] THEN ARRAY['search_path=pg_catalog, pg_temp'] ELSE p.proconfig END,
			md5(p.prosrc)) AS definition
	FROM source JOIN pg_trigger AS t ON t.tgrelid = source.id JOIN pg_proc AS p ON p.oid = t.tgfoid
	WHERE t.tgname IN ('feed_insert', 'feed_update', 'feed_delete', 'feed_truncate', 'feed_change', 'feed_row')
)
