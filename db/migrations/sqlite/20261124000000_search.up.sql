-- Searches look for trigrams, in tables that triggers keep: rows may come from
-- any program.
CREATE VIRTUAL TABLE portfolios_search USING fts5(name, content='', contentless_delete=1, detail=none, tokenize='trigram');

--bun:split

INSERT INTO portfolios_search (rowid, name) SELECT id, name FROM portfolios;

--bun:split

CREATE TRIGGER portfolios_search_insert AFTER INSERT ON portfolios BEGIN
  INSERT OR REPLACE INTO portfolios_search (rowid, name) VALUES (NEW.id, NEW.name);
END;

--bun:split

CREATE TRIGGER portfolios_search_update AFTER UPDATE OF id, name ON portfolios BEGIN
  DELETE FROM portfolios_search WHERE rowid = OLD.id;
  INSERT OR REPLACE INTO portfolios_search (rowid, name) VALUES (NEW.id, NEW.name);
END;

--bun:split

CREATE TRIGGER portfolios_search_delete AFTER DELETE ON portfolios BEGIN
  DELETE FROM portfolios_search WHERE rowid = OLD.id;
END;

--bun:split

CREATE VIRTUAL TABLE portfolio_links_search USING fts5(name, description, content='', contentless_delete=1, detail=none, tokenize='trigram');

--bun:split

INSERT INTO portfolio_links_search (rowid, name, description) SELECT id, name, description FROM portfolio_links;

--bun:split

CREATE TRIGGER portfolio_links_search_insert AFTER INSERT ON portfolio_links BEGIN
  INSERT OR REPLACE INTO portfolio_links_search (rowid, name, description) VALUES (NEW.id, NEW.name, NEW.description);
END;

--bun:split

CREATE TRIGGER portfolio_links_search_update AFTER UPDATE OF id, name, description ON portfolio_links BEGIN
  DELETE FROM portfolio_links_search WHERE rowid = OLD.id;
  INSERT OR REPLACE INTO portfolio_links_search (rowid, name, description) VALUES (NEW.id, NEW.name, NEW.description);
END;

--bun:split

CREATE TRIGGER portfolio_links_search_delete AFTER DELETE ON portfolio_links BEGIN
  DELETE FROM portfolio_links_search WHERE rowid = OLD.id;
END;
