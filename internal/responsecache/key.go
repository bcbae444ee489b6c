package responsecache

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// Key is a hash of everything on which a response depends besides rows and settings.
type Key [sha256.Size]byte

// hasher computes keys without allocating memory.
type hasher struct {
	hash.Hash
	fields []byte
	sum    Key
}

var hashers = sync.Pool{New: func() any { return &hasher{Hash: sha256.New()} }}

const maxPooled = 4 << 10 // bytes

// KeyOf returns the key of a request. Requests that differ in the content or in a field have
// different keys.
func KeyOf(content []byte, fields ...string) Key {
	h := hashers.Get().(*hasher)
	h.fields = binary.AppendUvarint(h.fields[:0], uint64(len(fields)))
	for _, field := range fields {
		h.fields = append(binary.AppendUvarint(h.fields, uint64(len(field))), field...)
	}
	h.Reset()
	_, _ = h.Write(h.fields)
	_, _ = h.Write(content)
	h.Sum(h.sum[:0])
	key := h.sum
	if cap(h.fields) > maxPooled {
		h.fields = nil
	}
	hashers.Put(h)
	return key
}
