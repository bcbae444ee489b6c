DROP INDEX portfolio_links_url;
