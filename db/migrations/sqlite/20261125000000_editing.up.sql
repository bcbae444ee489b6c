-- As of names, the index holds 255 characters.
CREATE INDEX portfolio_links_url ON portfolio_links (substr(url, 1, 255), id);
