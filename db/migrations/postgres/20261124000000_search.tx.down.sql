DROP INDEX IF EXISTS portfolio_links_search, portfolios_search;
