DROP TRIGGER feed_insert ON portfolios;

--bun:split

DROP TRIGGER feed_update ON portfolios;

--bun:split

DROP TRIGGER feed_delete ON portfolios;

--bun:split

DROP TRIGGER feed_truncate ON portfolios;

--bun:split

DROP TRIGGER feed_insert ON portfolio_links;

--bun:split

DROP TRIGGER feed_update ON portfolio_links;

--bun:split

DROP TRIGGER feed_delete ON portfolio_links;

--bun:split

DROP TRIGGER feed_truncate ON portfolio_links;

--bun:split

DROP TRIGGER feed_insert ON images;

--bun:split

DROP TRIGGER feed_update ON images;

--bun:split

DROP TRIGGER feed_delete ON images;

--bun:split

DROP TRIGGER feed_truncate ON images;

--bun:split

DROP TRIGGER feed_insert ON thumbnails;

--bun:split

DROP TRIGGER feed_update ON thumbnails;

--bun:split

DROP TRIGGER feed_delete ON thumbnails;

--bun:split

DROP TRIGGER feed_truncate ON thumbnails;

--bun:split

DROP TRIGGER feed_change ON users;

--bun:split

DROP TRIGGER feed_change ON user_permissions;

--bun:split

DROP TRIGGER feed_change ON tokens;

--bun:split

DROP FUNCTION feed_thumbnails, feed_images, feed_portfolio_links, feed_portfolios, feed_any, feed_users, feed_notify;
