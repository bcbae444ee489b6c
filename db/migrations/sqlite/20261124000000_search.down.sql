DROP TRIGGER portfolio_links_search_insert;

--bun:split

DROP TRIGGER portfolio_links_search_update;

--bun:split

DROP TRIGGER portfolio_links_search_delete;

--bun:split

DROP TABLE portfolio_links_search;

--bun:split

DROP TRIGGER portfolios_search_insert;

--bun:split

DROP TRIGGER portfolios_search_update;

--bun:split

DROP TRIGGER portfolios_search_delete;

--bun:split

DROP TABLE portfolios_search;
