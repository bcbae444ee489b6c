-- Searches use tables of trigrams that triggers maintain. Other programs may
-- write rows, so this needs SQLite 3.34 only. REPLACE leaves the trigrams of the
-- old row behind, so searches check the rows that they find.
CREATE VIRTUAL TABLE portfolios_search USING fts5(name, content='portfolios', content_rowid='id', detail=none, tokenize='trigram');

--bun:split

INSERT INTO portfolios_search (portfolios_search) VALUES ('rebuild');

--bun:split

CREATE TRIGGER portfolios_search_insert AFTER INSERT ON portfolios BEGIN
  INSERT INTO portfolios_search (rowid, name) VALUES (NEW.id, NEW.name);
END;

--bun:split

CREATE TRIGGER portfolios_search_update AFTER UPDATE OF id, name ON portfolios BEGIN
  INSERT INTO portfolios_search (portfolios_search, rowid, name) VALUES ('delete', OLD.id, OLD.name);
  INSERT INTO portfolios_search (rowid, name) VALUES (NEW.id, NEW.name);
END;

--bun:split

CREATE TRIGGER portfolios_search_delete AFTER DELETE ON portfolios BEGIN
  INSERT INTO portfolios_search (portfolios_search, rowid, name) VALUES ('delete', OLD.id, OLD.name);
END;

--bun:split

CREATE VIRTUAL TABLE portfolio_links_search USING fts5(name, description, content='portfolio_links', content_rowid='id', detail=none, tokenize='trigram');

--bun:split

INSERT INTO portfolio_links_search (portfolio_links_search) VALUES ('rebuild');

--bun:split

CREATE TRIGGER portfolio_links_search_insert AFTER INSERT ON portfolio_links BEGIN
  INSERT INTO portfolio_links_search (rowid, name, description) VALUES (NEW.id, NEW.name, NEW.description);
END;

--bun:split

CREATE TRIGGER portfolio_links_search_update AFTER UPDATE OF id, name, description ON portfolio_links BEGIN
  INSERT INTO portfolio_links_search (portfolio_links_search, rowid, name, description) VALUES ('delete', OLD.id, OLD.name, OLD.description);
  INSERT INTO portfolio_links_search (rowid, name, description) VALUES (NEW.id, NEW.name, NEW.description);
END;

--bun:split

CREATE TRIGGER portfolio_links_search_delete AFTER DELETE ON portfolio_links BEGIN
  INSERT INTO portfolio_links_search (portfolio_links_search, rowid, name, description) VALUES ('delete', OLD.id, OLD.name, OLD.description);
END;
