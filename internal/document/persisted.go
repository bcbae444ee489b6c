package document

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadPersisted reads persisted documents and returns their texts by ID. The path names a manifest
// of graphql-codegen, Relay or Apollo, a .graphql file, or a directory of such files. The ID of a
// .graphql file is "sha256:" and the hash of its text.
func ReadPersisted(path string) (map[string]string, error) {
	texts := map[string]string{}
	directory := os.DirFS(filepath.Dir(path))
	err := fs.WalkDir(directory, filepath.Base(path), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(directory, name)
		if err != nil {
			return err
		}
		switch filepath.Ext(name) {
		case ".json":
			if err := readManifest(content, texts); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case ".graphql", ".gql":
			hash := sha256.Sum256(content)
			texts["sha256:"+hex.EncodeToString(hash[:])] = string(content)
		}
		return nil
	})
	if err == nil && len(texts) == 0 {
		err = fmt.Errorf("%s: there are no documents", path)
	}
	return texts, err
}

// readManifest adds the documents of a manifest to texts. A manifest is a JSON object of texts by
// ID, or Apollo's list of operations.
func readManifest(content []byte, texts map[string]string) error {
	var apollo struct {
		Format     string
		Operations []struct{ ID, Body string }
	}
	if json.Unmarshal(content, &apollo) == nil && apollo.Format == "apollo-persisted-query-manifest" {
		for _, operation := range apollo.Operations {
			texts[operation.ID] = operation.Body
		}
		return nil
	}
	if err := json.Unmarshal(content, &texts); err != nil {
		return errors.New("not a manifest of persisted documents: must be a JSON object of texts by ID")
	}
	return nil
}
