INSERT INTO users (id, username, is_staff) VALUES (1, 'staff', true);
INSERT INTO user_permissions VALUES (1, 4242);
INSERT INTO tokens (user_id, key_hash) VALUES (1, $KEY_HASH);
INSERT INTO portfolios (id, name)
  WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < $LINKS / 100)
  SELECT i, 'Portfolio ' || i FROM series;
INSERT INTO images (id, type, name, path, size, width, height, mode)
  WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < $LINKS)
  SELECT i, 'image', 'technology', 'core_media/2025/12/02/technology_' || i || '.png', 5123 + i, 225, 225, 'P' FROM series;
INSERT INTO thumbnails (image_id, path, size)
  WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < $LINKS),
    sizes (s) AS (VALUES (64), (128), (512), (1080))
  SELECT i, 'core_media/2026/02/02/thumbnails/t_' || i || '_thumbnail_' || s || 'x' || s || '.jpg', s FROM series, sizes ORDER BY i, s;
INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, description)
  WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < $LINKS)
  SELECT i, (i - 1) / 100 + 1, i, 'دمو پروژه ' || i, 'https://example.com/demo/' || i, 'لینک مشاهده دمو' FROM series;
