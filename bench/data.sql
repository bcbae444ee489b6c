INSERT INTO users (id, username, is_staff) VALUES (1, 'staff', true);
INSERT INTO user_permissions VALUES (1, 4242);
INSERT INTO tokens (user_id, key_hash) VALUES (1, sha256('0123456789abcdef0123456789abcdef01234567'));
INSERT INTO portfolios (id, name) SELECT i, 'Portfolio ' || i FROM generate_series(1, $LINKS / 100) i;
INSERT INTO images (id, type, name, path, size, width, height, mode)
  SELECT i, 'image', 'technology', 'core_media/2025/12/02/technology_' || i || '.png', 5123 + i, 225, 225, 'P' FROM generate_series(1, $LINKS) i;
INSERT INTO thumbnails (image_id, path, size)
  SELECT i, 'core_media/2026/02/02/thumbnails/t_' || i || '_thumbnail_' || s || 'x' || s || '.jpg', s
  FROM generate_series(1, $LINKS) i, unnest(array[64, 128, 512, 1080]) s;
INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, description)
  SELECT i, (i - 1) / 100 + 1, i, 'دمو پروژه ' || i, 'https://example.com/demo/' || i, 'لینک مشاهده دمو' FROM generate_series(1, $LINKS) i;
