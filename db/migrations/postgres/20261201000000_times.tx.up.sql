-- The API shows times of the years 1 to 9999. Later and earlier ones become the last and
-- the first of them, and a token that never expires has no time.
UPDATE users SET created_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', created_at))
WHERE created_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z';

--bun:split

UPDATE tokens SET created_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', created_at)),
  expires_at = CASE WHEN expires_at <= '9999-12-31T23:59:59.999999Z' THEN greatest(expires_at, '0001-01-01T00:00:00Z') END
WHERE created_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' OR expires_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z';

--bun:split

UPDATE portfolios SET created_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', created_at)),
  updated_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', updated_at))
WHERE created_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' OR updated_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z';

--bun:split

UPDATE images SET created_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', created_at))
WHERE created_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z';

--bun:split

UPDATE portfolio_links SET created_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', created_at)),
  updated_at = greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999999Z', updated_at))
WHERE created_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' OR updated_at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z';

--bun:split

-- No other program can store another time.
ALTER TABLE users ADD CONSTRAINT users_times CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z');

--bun:split

ALTER TABLE tokens ADD CONSTRAINT tokens_times CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' AND expires_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z');

--bun:split

ALTER TABLE portfolios ADD CONSTRAINT portfolios_times CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' AND updated_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z');

--bun:split

ALTER TABLE images ADD CONSTRAINT images_times CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z');

--bun:split

ALTER TABLE portfolio_links ADD CONSTRAINT portfolio_links_times CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' AND updated_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z');
