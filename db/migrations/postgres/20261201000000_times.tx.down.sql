ALTER TABLE users DROP CONSTRAINT users_times;

--bun:split

ALTER TABLE tokens DROP CONSTRAINT tokens_times;

--bun:split

ALTER TABLE portfolios DROP CONSTRAINT portfolios_times;

--bun:split

ALTER TABLE images DROP CONSTRAINT images_times;

--bun:split

ALTER TABLE portfolio_links DROP CONSTRAINT portfolio_links_times;
