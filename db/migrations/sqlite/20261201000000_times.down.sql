DROP TRIGGER users_values_insert;

--bun:split

DROP TRIGGER users_values_update;

--bun:split

DROP TRIGGER user_permissions_values_insert;

--bun:split

DROP TRIGGER user_permissions_values_update;

--bun:split

DROP TRIGGER tokens_values_insert;

--bun:split

DROP TRIGGER tokens_values_update;

--bun:split

DROP TRIGGER portfolios_values_insert;

--bun:split

DROP TRIGGER portfolios_values_update;

--bun:split

DROP TRIGGER images_values_insert;

--bun:split

DROP TRIGGER images_values_update;

--bun:split

DROP TRIGGER thumbnails_values_insert;

--bun:split

DROP TRIGGER thumbnails_values_update;

--bun:split

DROP TRIGGER portfolio_links_values_insert;

--bun:split

DROP TRIGGER portfolio_links_values_update;

--bun:split

DROP TRIGGER users_times_insert;

--bun:split

DROP TRIGGER users_times_update;

--bun:split

DROP TRIGGER tokens_times_insert;

--bun:split

DROP TRIGGER tokens_times_update;

--bun:split

DROP TRIGGER portfolios_times_insert;

--bun:split

DROP TRIGGER portfolios_times_update;

--bun:split

DROP TRIGGER images_times_insert;

--bun:split

DROP TRIGGER images_times_update;

--bun:split

DROP TRIGGER portfolio_links_times_insert;

--bun:split

DROP TRIGGER portfolio_links_times_update;

--bun:split

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

--bun:split

CREATE TRIGGER images_insert_times AFTER INSERT ON images
WHEN NEW.created_at NOT GLOB '????-??-??T??:??:??.??????Z'
BEGIN
  UPDATE images SET
    created_at = strftime('%Y-%m-%dT%H:%M:%S', substr(created_at, 1, 19) || CASE WHEN substr(created_at, -6) GLOB '[-+][0-9][0-9]:[0-9][0-9]' THEN substr(created_at, -6) ELSE '' END) ||
      printf('.%06dZ', min(999999, CAST(CAST('0' || substr(created_at, 20) AS REAL) * 1000000 + 0.5 AS INTEGER)))
  WHERE id = NEW.id;
END;
