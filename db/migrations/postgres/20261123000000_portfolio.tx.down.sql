DROP TABLE portfolio_links, thumbnails, images, portfolios, tokens, user_permissions, users;
