package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Probe writes, reads and deletes a file. If the process ends in between, garbage collection removes
// the file.
func Probe(ctx context.Context, store Store) error {
	key, content := "check-"+rand.Text(), rand.Text()
	if err := store.Create(ctx, key, strings.NewReader(content), int64(len(content))); err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	err := probeRead(ctx, store, key, content)
	if removeErr := store.Remove(ctx, key); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("delete a file: %w", removeErr))
	}
	return err
}

// probeRead returns an error unless the file with the key has the content want.
func probeRead(ctx context.Context, store Store, key, want string) error {
	file, err := store.Open(ctx, key)
	if err != nil {
		return fmt.Errorf("read a file: %w", err)
	}
	defer func() { _ = file.Close() }()
	got, err := io.ReadAll(io.LimitReader(file, int64(len(want)+1)))
	if err == nil && string(got) != want {
		err = errors.New("its content has changed")
	}
	if err != nil {
		return fmt.Errorf("read a file: %w", err)
	}
	return nil
}
