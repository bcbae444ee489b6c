DROP TABLE portfolio_links;

--bun:split

DROP TABLE thumbnails;

--bun:split

DROP TABLE images;

--bun:split

DROP TABLE portfolios;

--bun:split

DROP TABLE tokens;

--bun:split

DROP TABLE user_permissions;

--bun:split

DROP TABLE users;
