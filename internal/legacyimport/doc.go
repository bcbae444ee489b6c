// Package legacyimport imports the data and files of the legacy system while it is
// running. It reads the system's database or its endpoint, verifies each link by
// comparing responses, and never overwrites local changes.
//
// The import is needed once. To remove it, delete:
//
//   - this directory
//   - db/import.go and db/import_test.go
//   - internal/cli/import.go, and the command import in internal/cli/cli.go
//   - test/system/import_test.go
//   - docs/migration.md, and the links to it
//
// The table moved_rows, which records the imported rows, stays until a migration drops it.
package legacyimport
