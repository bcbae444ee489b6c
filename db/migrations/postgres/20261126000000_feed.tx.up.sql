-- Each transaction that changes rows tells the servers that listen, when it commits,
-- whose rows: "p 1 2" those of the portfolios 1 and 2, "i 6" those of the image 6, "*"
-- those of any, and "u" those of users, their permissions and their tokens. Without a
-- search path of its own, a function would fail for sessions that set another.
CREATE FUNCTION feed_notify(type text, ids bigint[]) RETURNS void LANGUAGE sql AS $$
  SELECT pg_notify('portfolio_changes', CASE
    WHEN cardinality(ids) > 350 THEN '*' -- a payload has at most 8000 bytes
    ELSE array_to_string(type || ids::text[], ' ') END)
  WHERE ids IS NOT NULL
$$;

--bun:split

CREATE FUNCTION feed_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('portfolio_changes', 'u');
  RETURN NULL;
END
$$;

--bun:split

CREATE FUNCTION feed_any() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('portfolio_changes', '*');
  RETURN NULL;
END
$$;

--bun:split

CREATE FUNCTION feed_portfolios() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM feed_notify('p', (SELECT array_agg(DISTINCT id) FROM old_rows));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM feed_notify('p', (SELECT array_agg(DISTINCT id) FROM new_rows));
  END IF;
  RETURN NULL;
END
$$;

--bun:split

CREATE FUNCTION feed_portfolio_links() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM feed_notify('p', (SELECT array_agg(DISTINCT portfolio_id) FROM old_rows));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM feed_notify('p', (SELECT array_agg(DISTINCT portfolio_id) FROM new_rows));
  END IF;
  RETURN NULL;
END
$$;

--bun:split

CREATE FUNCTION feed_images() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM feed_notify('i', (SELECT array_agg(DISTINCT id) FROM old_rows));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM feed_notify('i', (SELECT array_agg(DISTINCT id) FROM new_rows));
  END IF;
  RETURN NULL;
END
$$;

--bun:split

CREATE FUNCTION feed_thumbnails() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM feed_notify('i', (SELECT array_agg(DISTINCT image_id) FROM old_rows));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM feed_notify('i', (SELECT array_agg(DISTINCT image_id) FROM new_rows));
  END IF;
  RETURN NULL;
END
$$;

--bun:split

CREATE TRIGGER feed_insert AFTER INSERT ON portfolios REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_portfolios();

--bun:split

CREATE TRIGGER feed_update AFTER UPDATE ON portfolios REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_portfolios();

--bun:split

CREATE TRIGGER feed_delete AFTER DELETE ON portfolios REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_portfolios();

--bun:split

CREATE TRIGGER feed_truncate AFTER TRUNCATE ON portfolios FOR EACH STATEMENT EXECUTE FUNCTION feed_any();

--bun:split

CREATE TRIGGER feed_insert AFTER INSERT ON portfolio_links REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_portfolio_links();

--bun:split

CREATE TRIGGER feed_update AFTER UPDATE ON portfolio_links REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_portfolio_links();

--bun:split

CREATE TRIGGER feed_delete AFTER DELETE ON portfolio_links REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_portfolio_links();

--bun:split

CREATE TRIGGER feed_truncate AFTER TRUNCATE ON portfolio_links FOR EACH STATEMENT EXECUTE FUNCTION feed_any();

--bun:split

CREATE TRIGGER feed_insert AFTER INSERT ON images REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_images();

--bun:split

CREATE TRIGGER feed_update AFTER UPDATE ON images REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_images();

--bun:split

CREATE TRIGGER feed_delete AFTER DELETE ON images REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_images();

--bun:split

CREATE TRIGGER feed_truncate AFTER TRUNCATE ON images FOR EACH STATEMENT EXECUTE FUNCTION feed_any();

--bun:split

CREATE TRIGGER feed_insert AFTER INSERT ON thumbnails REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_thumbnails();

--bun:split

CREATE TRIGGER feed_update AFTER UPDATE ON thumbnails REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_thumbnails();

--bun:split

CREATE TRIGGER feed_delete AFTER DELETE ON thumbnails REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION feed_thumbnails();

--bun:split

CREATE TRIGGER feed_truncate AFTER TRUNCATE ON thumbnails FOR EACH STATEMENT EXECUTE FUNCTION feed_any();

--bun:split

CREATE TRIGGER feed_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION feed_users();

--bun:split

CREATE TRIGGER feed_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON user_permissions FOR EACH STATEMENT EXECUTE FUNCTION feed_users();

--bun:split

CREATE TRIGGER feed_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tokens FOR EACH STATEMENT EXECUTE FUNCTION feed_users();

--bun:split

-- Also in sessions that replicate or restore rows.
ALTER TABLE portfolios ENABLE ALWAYS TRIGGER feed_insert, ENABLE ALWAYS TRIGGER feed_update, ENABLE ALWAYS TRIGGER feed_delete, ENABLE ALWAYS TRIGGER feed_truncate;

--bun:split

ALTER TABLE portfolio_links ENABLE ALWAYS TRIGGER feed_insert, ENABLE ALWAYS TRIGGER feed_update, ENABLE ALWAYS TRIGGER feed_delete, ENABLE ALWAYS TRIGGER feed_truncate;

--bun:split

ALTER TABLE images ENABLE ALWAYS TRIGGER feed_insert, ENABLE ALWAYS TRIGGER feed_update, ENABLE ALWAYS TRIGGER feed_delete, ENABLE ALWAYS TRIGGER feed_truncate;

--bun:split

ALTER TABLE thumbnails ENABLE ALWAYS TRIGGER feed_insert, ENABLE ALWAYS TRIGGER feed_update, ENABLE ALWAYS TRIGGER feed_delete, ENABLE ALWAYS TRIGGER feed_truncate;

--bun:split

ALTER TABLE users ENABLE ALWAYS TRIGGER feed_change;

--bun:split

ALTER TABLE user_permissions ENABLE ALWAYS TRIGGER feed_change;

--bun:split

ALTER TABLE tokens ENABLE ALWAYS TRIGGER feed_change;
