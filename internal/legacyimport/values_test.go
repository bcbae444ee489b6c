package legacyimport

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMapping_ReportsLines(t *testing.T) {
	t.Parallel()
	mapping, err := ParseMapping("# a comment\n\n links = old.links\nlinks.name=the \"name\"\nimages.mode =\nimages.type = 'image'\nimages.path = file_id -> files.file.path\nusers =\n")
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		`"old"."links"`:    mapping.table("links"),
		`t."the ""name"""`: mapping.column("t", "links.name"),
		"NULL":             mapping.column("t", "images.mode"),
		"'image'":          mapping.column("t", "images.type"),
		`"core_media"`:     mapping.table("images"),
		`SELECT CAST(t."user_id" AS bigint), CAST(t."code" AS text), CAST(CAST(t."user_id" AS bigint) AS text) FROM "core_userpermission" AS t WHERE `: permissionTable.selectRows(mapping),
		`SELECT CAST(NULL AS bigint), CAST(NULL AS text), CAST(CAST(NULL AS bigint) AS text) FROM "old" AS t WHERE `:                                   permissionTable.selectRows(Mapping{"permissions": "old"}),
		`(SELECT r."path" FROM "files"."file" AS r WHERE r.id = t."file_id")`:                                                                          mapping.column("t", "images.path"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if mapping.has("users") || !mapping.has("tokens") {
		t.Errorf("got users %t and tokens %t, want only tokens", mapping.has("users"), mapping.has("tokens"))
	}
	for text, want := range map[string]string{
		"links":                            "line 1: not NAME = VALUE",
		"\nlink = x":                       `line 2: "link" is not a name of --print-mapping`,
		"links =":                          "line 1: links: must not be empty",
		"links.name =":                     "line 1: links.name: must not be empty",
		"links = a\nlinks = b":             "line 2: links is repeated",
		"links = a.b.c":                    "line 1: links: not TABLE or SCHEMA.TABLE",
		"images.type = 'a":                 "line 1: images.type: not a text in single quotes",
		"images.type = 'a'b'":              "line 1: images.type: not a text in single quotes",
		"images.type = a -> b":             "line 1: images.type: not COLUMN -> TABLE.COLUMN",
		string(make([]byte, maxMapping+1)): "has more than 65536 bytes",
	} {
		if _, err := ParseMapping(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestRanges_YieldEachID(t *testing.T) {
	t.Parallel()
	var ranges Ranges
	if err := ranges.UnmarshalText([]byte("7,100-300,9223372036854775806-9223372036854775807")); err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for chunk := range ranges.chunks() {
		if len(chunk) > chunkLinks {
			t.Errorf("got a chunk of %d IDs, want at most %d", len(chunk), chunkLinks)
		}
		ids = append(ids, chunk...)
	}
	want := []int64{7}
	for id := int64(100); id <= 300; id++ {
		want = append(want, id)
	}
	want = append(want, 1<<63-2, 1<<63-1)
	if !slices.Equal(ids, want) || ranges.count() != int64(len(want)) {
		t.Errorf("got IDs %v, %d of them, want %v", ids, ranges.count(), want)
	}
	for chunk := range ranges.chunks() {
		if want := ids[:chunkLinks]; !slices.Equal(chunk, want) {
			t.Errorf("got the chunk %v, want %v", chunk, want)
		}
		break // iterators panic if they continue
	}
	for _, text := range []string{"", "0", "-1", "1-", "2-1", "a", "1,", "1 - 2", "9223372036854775808", "1-100000001", "1-9223372036854775807,1-9223372036854775807", "1-5,5"} {
		if err := ranges.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

func TestURLs_HidePasswords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://example.org":          "http://example.org",
		"https://example.org:8443/a/": "https://example.org:8443/a",
		"example.org":                 "not an absolute http or https URL",
		"ftp://example.org":           "not an absolute http or https URL",
		"http://a:b@example.org":      "must not contain a user or a password",
		"http://example.org?a":        "must not have a query or a fragment",
		"http://example.org#a":        "must not have a query or a fragment",
	} {
		var url ServerURL
		err := url.UnmarshalText([]byte(text))
		got := url.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"postgres://u:secret@h/d?sslmode=disable": "postgres://h/d",
		"mysql://h/d":                     "only PostgreSQL can be read, not mysql: read the endpoint instead, with --url",
		"sqlite:db.sqlite3":               "only PostgreSQL can be read, not sqlite: read the endpoint instead, with --url",
		"secret":                          "not a postgres:// URL",
		"postgres://u:secret@h:port/d":    "not a PostgreSQL URL",
		"postgres://u:se@cret@h/d":        "not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F",
		"postgres:host=h password=secret": "not a PostgreSQL URL",
		"postgres:host=h dbname=d@x":      "not a PostgreSQL URL",
		"postgres://u:a%40b@c/secret@h/d": "not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F",
		"postgres://app:12/se%40cret@h/d": "not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F",
		"postgres://u:12/secret@h/d":      "not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F",
	} {
		var url DatabaseURL
		err := url.UnmarshalText([]byte(text))
		got := url.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestParseLink_ReportsInvalidTimes parses documents with invalid times.
func TestParseLink_ReportsInvalidTimes(t *testing.T) {
	t.Parallel()
	const document = `{"id":1,"name":"n","url":null,"image_data":null,"description":null,"created_at":%s,"updated_at":"2026-01-13T10:05:43Z"}`
	for text, want := range map[string]string{
		`"2026-01-13T10:05:43.296270Z"`: "",
		`"0001-01-01T00:00:00Z"`:        "",
		`""`:                            "created_at: is not a time",
		`" "`:                           "created_at: is not a time",
		`"null"`:                        "created_at: is not a time",
		`null`:                          "created_at: must not be null",
		`0`:                             "created_at: must be a string, not a number",
		`"0000-01-01T00:00:00Z"`:        "created_at: must be a time in the years 1 to 9999",
	} {
		row, err := parseLink(fmt.Appendf(nil, document, text), linkID{1, 2}, "/media/")
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "not the documented JSON: ")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q, %+v", text, got, want, row)
		}
	}
	missing := strings.Replace(fmt.Sprintf(document, `"x"`), `"created_at":"x",`, "", 1)
	if _, err := parseLink([]byte(missing), linkID{1, 2}, "/media/"); err == nil || !strings.HasSuffix(err.Error(), "JSON: created_at: is missing") {
		t.Errorf("got %v, want that created_at is missing", err)
	}
}

func TestDifferences_NamesFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		legacy, local string
		want          []Difference
	}{
		{`{"a":1}`, `{"a":1}`, nil},
		{`{"a":1,"b":[{"c":"x"},2]}`, `{"a":1,"b":[{"c":"y"},2]}`, []Difference{{"b[0].c", `"x"`, `"y"`}}},
		{`{"a":1}`, `{"b":null}`, []Difference{{"a", "1", "nothing"}, {"b", "nothing", "null"}}},
		{`{"a":[]}`, `{"a":[1]}`, []Difference{{"a", "[]", "[1]"}}},
		{`{"a":1.0}`, `{"a":1}`, []Difference{{"a", "1.0", "1"}}},
		{`{"a": 1}`, `{"a":1}`, []Difference{{"byte 5", `"{\"a\": 1}"`, `"{\"a\":1}"`}}},
		{`oops`, `{}`, []Difference{{"byte 0", `"oops"`, `"{}"`}}},
	} {
		if diff := cmp.Diff(c.want, differences([]byte(c.legacy), []byte(c.local))); diff != "" {
			t.Errorf("%s and %s: differences (-want +got):\n%s", c.legacy, c.local, diff)
		}
	}
}

func TestWithoutHosts_KeepsTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"f":"http://a:8000/media/x.png","t":[{"f":"https://b/media/y.png"}]}`: `{"f":"x.png","t":[{"f":"y.png"}]}`,
		`{"f":"http://a/other/x.png"}`:                                          `{"f":"/other/x.png"}`,
		`{"f":null,"url":"http://a/media/"}`:                                    `{"f":null,"url":"http://a/media/"}`,
		`{"name":"\"f\":\"http://a/media/x"}`:                                   `{"name":"\"f\":\"http://a/media/x"}`,
		`{"f":"http://a"}`:                                                      `{"f":"http://a"}`,
		`{"f":"http://`:                                                         `{"f":"http://`,
		`{"f":"ftp://a/media/x"}`:                                               `{"f":"ftp://a/media/x"}`,
	} {
		if got := string(withoutHosts([]byte(text), "/media/")); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// FuzzParseLink checks that parseLink returns only valid links.
func FuzzParseLink(f *testing.F) {
	f.Add(`{"id":1,"name":"n","url":null,"image_data":{"id":6,"type":"image","name":"i","size":5,"human_readable_size":"5.00 B","f":"http://h/media/a/b.png","width":2,"height":2,"mode":"P","thumbnails":[{"id":2,"f":null,"size":64}]},"description":null,"created_at":"2026-01-13T10:05:43.296270Z","updated_at":"2026-01-13T10:05:43Z"}`)
	f.Fuzz(func(t *testing.T, text string) {
		row, err := parseLink([]byte(text), linkID{1, 2}, "/media/")
		if err != nil {
			return
		}
		if row.ID != 1 || row.PortfolioID != 2 || row.UpdatedAt.Year() < 1 || row.UpdatedAt.Year() > 9999 || (row.ImageData == nil) != (row.ImageID == nil) {
			t.Errorf("%s: got the invalid link %+v", text, row)
		}
	})
}
