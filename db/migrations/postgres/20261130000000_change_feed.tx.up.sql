-- The functions of the triggers call nothing outside of pg_catalog: with the search path
-- of a session, a role could make them call its own pg_notify. A trigger per row covers
-- rows that logical replication applies, for which no statement trigger runs. It is
-- enabled in replicating sessions only. Migrate runs this file again if a trigger is
-- missing or altered.
DO $do$
DECLARE
  source record;
BEGIN
  FOR source IN VALUES ('portfolios', 'p', 'id'), ('portfolio_links', 'p', 'portfolio_id'), ('images', 'i', 'id'), ('thumbnails', 'i', 'image_id') LOOP
    EXECUTE format($create$
CREATE OR REPLACE FUNCTION feed_%1$s() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('portfolio_changes', CASE WHEN cardinality(ids) > 350 THEN '*' ELSE %2$L || array_to_string(ids, ' ') END) -- a payload has at most 8000 bytes
    FROM (SELECT array_agg(DISTINCT %3$s) AS ids FROM old_rows) AS changed WHERE ids IS NOT NULL;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('portfolio_changes', CASE WHEN cardinality(ids) > 350 THEN '*' ELSE %2$L || array_to_string(ids, ' ') END)
    FROM (SELECT array_agg(DISTINCT %3$s) AS ids FROM new_rows) AS changed WHERE ids IS NOT NULL;
  END IF;
  RETURN NULL;
END
$body$
    $create$, source.column1, source.column2 || ' ', source.column3);
  END LOOP;
END
$do$;

--bun:split

DROP FUNCTION IF EXISTS feed_notify(text, bigint[]);

--bun:split

CREATE OR REPLACE FUNCTION feed_users() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('portfolio_changes', 'u');
  RETURN NULL;
END
$$;

--bun:split

CREATE OR REPLACE FUNCTION feed_any() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('portfolio_changes', '*');
  RETURN NULL;
END
$$;

--bun:split

-- Its arguments are the kind of change, and the column of the id.
CREATE OR REPLACE FUNCTION feed_row() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('portfolio_changes', concat_ws(' ', TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[1]));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('portfolio_changes', concat_ws(' ', TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1]));
  END IF;
  RETURN NULL;
END
$$;

--bun:split

DO $do$
DECLARE
  source record;
BEGIN
  FOR source IN VALUES ('portfolios', 'p', 'id'), ('portfolio_links', 'p', 'portfolio_id'), ('images', 'i', 'id'), ('thumbnails', 'i', 'image_id') LOOP
    EXECUTE format($create$
CREATE OR REPLACE TRIGGER feed_insert AFTER INSERT ON %1$s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_%1$s();
CREATE OR REPLACE TRIGGER feed_update AFTER UPDATE ON %1$s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_%1$s();
CREATE OR REPLACE TRIGGER feed_delete AFTER DELETE ON %1$s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_%1$s();
CREATE OR REPLACE TRIGGER feed_truncate AFTER TRUNCATE ON %1$s FOR EACH STATEMENT EXECUTE FUNCTION feed_any();
CREATE OR REPLACE TRIGGER feed_row AFTER INSERT OR UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION feed_row(%2$L, %3$L);
ALTER TABLE %1$s ENABLE ALWAYS TRIGGER feed_insert, ENABLE ALWAYS TRIGGER feed_update, ENABLE ALWAYS TRIGGER feed_delete,
  ENABLE ALWAYS TRIGGER feed_truncate, ENABLE REPLICA TRIGGER feed_row;
    $create$, source.column1, source.column2, source.column3);
  END LOOP;
  FOR source IN VALUES ('users'), ('user_permissions'), ('tokens') LOOP
    EXECUTE format($create$
CREATE OR REPLACE TRIGGER feed_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %1$s FOR EACH STATEMENT EXECUTE FUNCTION feed_users();
CREATE OR REPLACE TRIGGER feed_row AFTER INSERT OR UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION feed_row('u');
ALTER TABLE %1$s ENABLE ALWAYS TRIGGER feed_change, ENABLE REPLICA TRIGGER feed_row;
    $create$, source.column1);
  END LOOP;
END
$do$;
