// Package legacyimport imports the data and files of the legacy system while it is
// running. It reads the system's database or its endpoint, verifies each link by
// comparing responses, and never overwrites local changes.
//
// The import is needed once. To remove it, delete:
//
//   - this directory
//   - db/import.go and db/import_test.go
//   - internal/cli/import.go, and the field Import of the commands in internal/cli/cli.go
//   - test/system/import_test.go, and the lines of other tests that import
//   - docs/migration.md, and the links to it
//
// A migration can then drop the table moved_rows, which records imported rows.
package legacyimport
