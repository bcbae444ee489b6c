-- Searches use an index of trigrams. The owner of a database may create the
-- extension; without it, searches read every row.
DO $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX portfolios_search ON portfolios USING gin (name gin_trgm_ops);
  CREATE INDEX portfolio_links_search ON portfolio_links USING gin (name gin_trgm_ops, description gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
  RAISE WARNING 'searches are slow without the extension pg_trgm: %', SQLERRM;
END
$$;
