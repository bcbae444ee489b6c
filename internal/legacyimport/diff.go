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

// withoutHosts returns a response in which the URLs of files below the base have no
// host, and neither the base.
func withoutHosts(body []byte, base mediaBase) []byte {
	key := []byte(`"f":"`) // cannot be within a string, where quotes are escaped
	var out []byte
	for {
		before, rest, found := bytes.Cut(body, key)
		out = append(out, before...)
		if !found {
			return out
		}
		out = append(out, key...)
		body = rest
		for _, scheme := range []string{"http://", "https://"} {
			after, ok := bytes.CutPrefix(rest, []byte(scheme))
			if !ok {
				continue
			}
			slash := bytes.IndexAny(after, `/"`)
			if slash < 0 || after[slash] == '"' {
				break
			}
			body = after[slash:]
			if below, ok := bytes.CutPrefix(body, []byte(base)); ok {
				body = below
			}
		}
	}
}

// differences returns the fields in which two JSON documents differ, or where their
// texts do.
func differences(legacy, here []byte) []Difference {
	if bytes.Equal(legacy, here) {
		return nil
	}
	var found []Difference
	left, leftErr := decodeAny(legacy)
	right, rightErr := decodeAny(here)
	if leftErr == nil && rightErr == nil {
		found = compareValues(nil, "", left, right)
	}
	if len(found) > 0 {
		return found
	}
	at := 0
	for at < len(legacy) && at < len(here) && legacy[at] == here[at] {
		at++
	}
	from := max(0, at-20)
	return []Difference{{Field: "byte " + strconv.Itoa(at), Legacy: excerpt(legacy[from:]), Here: excerpt(here[from:])}}
}

func decodeAny(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

func compareValues(found []Difference, field string, left, right any) []Difference {
	if len(found) == maxDifferences {
		return found
	}
	leftFields, leftOK := left.(map[string]any)
	rightFields, rightOK := right.(map[string]any)
	if leftOK && rightOK {
		names := maps.Clone(leftFields)
		maps.Copy(names, rightFields)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			path := name
			if field != "" {
				path = field + "." + name
			}
			found = compareValues(found, path, member(leftFields, name), member(rightFields, name))
		}
		return found
	}
	leftItems, leftOK := left.([]any)
	rightItems, rightOK := right.([]any)
	if leftOK && rightOK && len(leftItems) == len(rightItems) {
		for i := range leftItems {
			found = compareValues(found, fmt.Sprintf("%s[%d]", field, i), leftItems[i], rightItems[i])
		}
		return found
	}
	if l, r := encode(left), encode(right); l != r {
		found = append(found, Difference{field, l, r})
	}
	return found
}

// absent is the value of a field that is not there.
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
