package legacyimport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

const maxDifferences = 10 // of two responses

// withoutHosts returns a response without the hosts of the URLs of files. It removes the base
// of the URLs too.
func withoutHosts(body []byte, base mediaBase) []byte {
	key := []byte(`"f":"`) // cannot be within a string, where quotes are escaped
	var out []byte
	for {
		head, tail, hasURL := bytes.Cut(body, key)
		out = append(out, head...)
		if !hasURL {
			return out
		}
		out = append(out, key...)
		body = tail
		for _, scheme := range []string{"http://", "https://"} {
			address, hasScheme := bytes.CutPrefix(tail, []byte(scheme))
			slash := bytes.IndexAny(address, `/"`)
			if hasScheme && slash >= 0 && address[slash] == '/' {
				body = bytes.TrimPrefix(address[slash:], []byte(base))
			}
		}
	}
}

// differences returns the fields in which two JSON documents differ. If all fields are
// equal, it returns the first byte in which the texts differ.
func differences(legacy, local []byte) []Difference {
	if bytes.Equal(legacy, local) {
		return nil
	}
	legacyValue, legacyErr := decodeAny(legacy)
	localValue, localErr := decodeAny(local)
	if legacyErr == nil && localErr == nil {
		if fields := compareValues(nil, "", legacyValue, localValue); len(fields) > 0 {
			return fields
		}
	}
	offset := 0
	for offset < len(legacy) && offset < len(local) && legacy[offset] == local[offset] {
		offset++
	}
	start := max(0, offset-20)
	return []Difference{{"byte " + strconv.Itoa(offset), excerpt(legacy[start:]), excerpt(local[start:])}}
}

func decodeAny(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

// compareValues appends the differences of two values.
func compareValues(differences []Difference, field string, legacy, local any) []Difference {
	if len(differences) == maxDifferences {
		return differences
	}
	legacyFields, isLegacyObject := legacy.(map[string]any)
	localFields, isLocalObject := local.(map[string]any)
	if isLegacyObject && isLocalObject {
		names := maps.Clone(legacyFields)
		maps.Copy(names, localFields)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			path := name
			if field != "" {
				path = field + "." + name
			}
			differences = compareValues(differences, path, member(legacyFields, name), member(localFields, name))
		}
		return differences
	}
	legacyItems, isLegacyList := legacy.([]any)
	localItems, isLocalList := local.([]any)
	if isLegacyList && isLocalList && len(legacyItems) == len(localItems) {
		for i := range legacyItems {
			differences = compareValues(differences, fmt.Sprintf("%s[%d]", field, i), legacyItems[i], localItems[i])
		}
		return differences
	}
	if legacyText, localText := encode(legacy), encode(local); legacyText != localText {
		differences = append(differences, Difference{field, legacyText, localText})
	}
	return differences
}

// absent is the value of a missing field.
type absent struct{}

func member(fields map[string]any, name string) any {
	if value, ok := fields[name]; ok {
		return value
	}
	return absent{}
}

func encode(value any) string {
	if _, ok := value.(absent); ok {
		return "nothing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	if len(text) > maxExcerpt {
		return string(bytes.ToValidUTF8(text[:maxExcerpt], nil)) + "..."
	}
	return string(text)
}
