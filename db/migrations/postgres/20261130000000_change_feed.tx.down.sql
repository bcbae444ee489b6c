-- Restores the functions of 20261126000000_feed.
DROP TRIGGER feed_row ON portfolios;
DROP TRIGGER feed_row ON portfolio_links;
DROP TRIGGER feed_row ON images;
DROP TRIGGER feed_row ON thumbnails;
DROP TRIGGER feed_row ON users;
DROP TRIGGER feed_row ON user_permissions;
DROP TRIGGER feed_row ON tokens;

--bun:split

DROP FUNCTION feed_row();

--bun:split

CREATE OR REPLACE FUNCTION feed_notify(type text, ids bigint[]) RETURNS void LANGUAGE sql AS $$
  SELECT pg_notify('portfolio_changes', CASE
    WHEN cardinality(ids) > 350 THEN '*' -- a payload has at most 8000 bytes
    ELSE array_to_string(type || ids::text[], ' ') END)
  WHERE ids IS NOT NULL
$$;

--bun:split

CREATE OR REPLACE FUNCTION feed_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('portfolio_changes', 'u');
  RETURN NULL;
END
$$;

--bun:split

CREATE OR REPLACE FUNCTION feed_any() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('portfolio_changes', '*');
  RETURN NULL;
END
$$;

--bun:split

CREATE OR REPLACE FUNCTION feed_portfolios() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

CREATE OR REPLACE FUNCTION feed_portfolio_links() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

CREATE OR REPLACE FUNCTION feed_images() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

CREATE OR REPLACE FUNCTION feed_thumbnails() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
