package compat

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
)

// The expectations are read off the sources of the legacy framework and Python.

func TestTokenKey_ReturnsMessages(t *testing.T) {
	const (
		missing = "Authentication credentials were not provided."
		noKey   = "Invalid token header. No credentials provided."
		spaces  = "Invalid token header. Token string should not contain spaces."
		notUTF8 = "Invalid token header. Token string should not contain invalid characters."
		valid   = ""
	)
	for _, c := range []struct{ header, key, detail string }{
		{"", "", missing},
		{" \t", "", missing},
		{"Bearer x", "", missing},
		{"Tokens x", "", missing},
		{"T\xf6ken x", "", missing},
		{"Token", "", noKey},
		{"tOKEN \v\f\r\n", "", noKey},
		{"Token x", "x", valid},
		{"\fTOKEN\v\vx\r", "x", valid},
		{"Token \xc3\xa9", "é", valid},
		{"Token \x1cx", "\x1cx", valid}, // white space to str, not to bytes
		{"Token x y", "", spaces},
		{"Token \xff \xff", "", spaces},
		{"Token \xff", "", notUTF8},
		{"Token x\xa0", "", notUTF8},
		{"Token \xed\xa0\x80", "", notUTF8}, // a surrogate
	} {
		if key, detail := tokenKey(c.header); key != c.key || detail != c.detail {
			t.Errorf("%q: %q, %q; want %q, %q", c.header, key, detail, c.key, c.detail)
		}
	}
}

func FuzzTokenKey(f *testing.F) {
	for _, seed := range []string{"", "Token", "Token x", "Token x y", "Bearer x", "\tToken\f\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, detail := tokenKey(header)
		if (key == "") == (detail == "") {
			t.Fatalf("%q: key %q and detail %q", header, key, detail)
		}
		if strings.ContainsAny(key, " \t\n\v\f\r") || !utf8.ValidString(key) {
			t.Fatalf("%q: key %q", header, key)
		}
	})
}

func TestAcceptedType_PrefersSpecificRanges(t *testing.T) {
	const notAcceptable = -1
	for _, c := range []struct {
		header string
		indent int
	}{
		{"*/*", 0},
		{"", notAcceptable},
		{"*", notAcceptable},
		{"application", notAcceptable},
		{"text/html;indent=4", notAcceptable},
		{"*/json", 0},
		{"application/*;q=0", 0},
		{"APPLICATION/JSON;INDENT=4", 4},
		{"\xa0application/json\x85", 0},
		{"application/json;indent=4, */*;indent=2", 4},
		{"*/*;indent=2, application/*;indent=3", 3},
		{"application/*;indent=2, application/json", 0},
		{"application/json, application/json;indent=2", 2},
		{"application/json;q=1, application/json;indent=2", 2},
		{`application/json;a="b;indent=2"`, 0},
		{`*/*;a="b;indent=2"`, 2}, // reformatted without the quotes, then parsed again
		{`application/json;a="b\";indent=2"`, 0},
		{`application/json;indent="4"`, 4},
		{"application/json;indent*=utf-8''4", 4},
		{"application/json;indent=2;indent=3", 3},
		{"application/json;indent", 0},
		{"application/json;indent=", 0},
		{"application/json;indent=+4", 4},
		{"application/json;indent=-4", 0},
		{"application/json;indent=0_4", 4},
		{"application/json;indent=_4", 0},
		{"application/json;indent=4_", 0},
		{"application/json;indent=0__4", 0},
		{"application/json;indent=\x1c4\xa0", 4},
		{"application/json;indent=" + strings.Repeat("9", 4300), 8},
		{"application/json;indent=" + strings.Repeat("9", 4301), 0},
	} {
		got := notAcceptable
		if m, ok := acceptedType(c.header); ok {
			got = indentWidth(m)
		}
		if got != c.indent {
			t.Errorf("%q: %d, want %d", c.header, got, c.indent)
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"*/*", "application/json; indent=4", `*/*;a="b;indent=2", text/html`, ",;=\"\\", "application/json;indent*=a'b'%34"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		m, ok := acceptedType(header)
		if width := indentWidth(m); width < 0 || width > maxIndent || width > 0 && !ok {
			t.Fatalf("%q: indented by %d", header, width)
		}
		if ok && !m.matchesJSON() {
			t.Fatalf("%q: accepted as %q", header, m.full)
		}
	})
}

func TestParseRoute_MatchesDjango(t *testing.T) {
	one, four := &db.NodeID{ID: 1}, db.NodeID{ID: 4}
	for _, c := range []struct {
		target, query string
		want          route
		ok            bool
	}{
		{"/api/portfolios/1/links/4", "", route{path: "/api/portfolios/1/links/4", portfolioID: one, id: four}, true},
		{"/api/portfolios/001/links/%34?a=b#c?d", "a=b", route{path: "/api/portfolios/001/links/4", portfolioID: one, id: four}, true},
		{"http://old.example/api/portfolios/links/4?a", "a", route{path: "/api/portfolios/links/4", id: four}, true},
		{"/api/portfolios/1/links/4#%", "", route{path: "/api/portfolios/1/links/4", portfolioID: one, id: four}, true},
		{"/api/portfolios/1/links/4%", "", route{}, false},
		{"/api/portfolios/1/links/4%zz", "", route{}, false},
		{"/api/portfolios/1/links/%2B4", "", route{}, false},
		{"/api/portfolios/1/links/", "", route{}, false},
		{"/api/portfolios//links/4", "", route{}, false},
		{"/api/portfolios/1/2/links/4", "", route{}, false},
		{"*", "", route{}, false},
	} {
		path, query := splitTarget(c.target)
		got, ok := parseRoute(path)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(route{})); ok != c.ok || query != c.query || ok && diff != "" {
			t.Errorf("%s: %v %q %s", c.target, ok, query, diff)
		}
	}
	for _, target := range []string{"/api/portfolios/9223372036854775808/links/4", "/api/portfolios/1/links/9223372036854775808"} {
		if got, ok := parseRoute(target); !ok || !got.overflow {
			t.Errorf("%s: %v, overflow %v", target, ok, got.overflow)
		}
	}
}

func TestLastQueryValue_MatchesDjango(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"", ""},
		{"format", ""},
		{"format=json", "json"},
		{"format=xml&format=json", "json"},
		{"format=json&format=", ""},
		{"FORMAT=xml", ""},
		{"a;format=xml", ""},
		{"%66ormat=x%6Dl", "xml"},
		{"format=+json", " json"},
		{"format=%", "%"},
		{"format=a=b", "a=b"},
	} {
		if got := lastQueryValue(c.query, "format"); got != c.want {
			t.Errorf("%q: %q, want %q", c.query, got, c.want)
		}
	}
}

func TestValidHost_MatchesDjango(t *testing.T) {
	for _, host := range []string{"a", "A.b", "a:80", "..", "a.", "-", "[::1]", "[::1]:80", "[:]:1", "[2001:DB8::A]", "1.2.3.4:0080"} {
		if wanted := host != "[:]:1"; validHost(host) != wanted {
			t.Errorf("%q: %v", host, !wanted)
		}
	}
	for _, host := range []string{"", ".", ".:80", ":80", "a:", "a:b", "a:80:80", "a_b", "a b", "a@b", "é", "[", "[]", "[::1", "[::1]x", "[::g]", "[1.2:3]", "a,b", "a/b"} {
		if validHost(host) {
			t.Errorf("%q is accepted", host)
		}
	}
}

func TestMediaURLs_MatchDjango(t *testing.T) {
	for path, want := range map[db.FileKey]string{
		"":                      `null`,
		"a/b.png":               `"http://h/media/a/b.png"`,
		"with space/%20+.png":   `"http://h/media/with%20space/%2520%2B.png"`,
		"é?#&.png":              `"http://h/media/%C3%A9%3F%23%26.png"`,
		`back\slash`:            `"http://h/media/back/slash"`,
		"~!*()'-_.":             `"http://h/media/~!*()'-_."`,
		"/leading":              `"http://h/media/leading"`,
		"//":                    `"http://h/media/"`,
		"a//b///c":              `"http://h/media/a/b/c"`,
		"trailing/":             `"http://h/media/trailing/"`,
		"./a":                   `"http://h/media/a"`,
		"a/..":                  `"http://h/media/"`,
		"a/../b":                `"http://h/media/b"`,
		".":                     `"http://h/media/"`,
		"..":                    `"http://h/"`,
		"../up":                 `"http://h/up"`,
		"../../up":              `"http://h/api/portfolios/1/links/up"`, // past the root: relative to the request's path
		"../../../a/b/":         `"http://h/api/portfolios/1/links/a/b/"`,
		"../..":                 `"http://h/"`,
		"...":                   `"http://h/media/..."`,
		"..a/b..":               `"http://h/media/..a/b.."`,
		"http://other.test/x":   `"http://h/media/http%3A/other.test/x"`,
		"%2e%2e/\x00\x7f\u2028": `"http://h/media/%252e%252e/%00%7F%E2%80%A8"`,
	} {
		urls := mediaURLs{base: "http://h/media/", requestPath: "/api/portfolios/1/links/4"}
		if got := string(urls.append(nil, path)); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	urls := mediaURLs{base: "https://cdn.example/a/", requestPath: "/api/portfolios/1/links/4"}
	if got := string(urls.append(nil, "b c")); got != `"https://cdn.example/a/b%20c"` {
		t.Errorf("under MEDIA_URL: %s", got)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(int64(4), "دمو \"\\\u2028😀\n\x00\x7f", "a/b c.png", int64(5123), int64(1768298743296270))
	f.Add(int64(-1), "\xff", "../..\\x", int64(-1), int64(0))
	f.Fuzz(func(t *testing.T, id int64, text, path string, size, micros int64) {
		at := db.Time{Time: time.UnixMicro(micros).UTC()}
		if year := at.Year(); year < 1 || year > 9999 {
			t.Skip("no database can store the year")
		}
		pixels := int(int32(size))
		link := db.PortfolioLink{ID: id, Name: text, URL: &text, CreatedAt: at, UpdatedAt: at, ImageData: &db.Image{
			ID: id, Type: text, Name: text, Path: db.FileKey(path), Size: size, Width: &pixels, Mode: &text,
			Thumbnails: []*db.Thumbnail{{ID: id, Path: db.FileKey(path), Size: &pixels}, {ID: id}},
		}}
		body := appendLink(nil, &link, mediaURLs{"http://h/media/", "/api/portfolios/1/links/4"})
		for _, width := range []int{0, 3} {
			if width > 0 {
				body = indent(body, width)
			}
			var got struct {
				ID          int64
				Name, URL   string
				Description *string
				CreatedAt   time.Time `json:"created_at"`
				ImageData   struct {
					Size       int64
					Width      int
					Height     *int
					F          *string
					Mode       string
					Thumbnails []struct{ ID int64 }
				} `json:"image_data"`
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			image := got.ImageData
			want := [...]any{id, size, pixels, (*int)(nil), (*string)(nil), at.UnixMicro(), path == "", 2}
			if read := [...]any{got.ID, image.Size, image.Width, image.Height, got.Description, got.CreatedAt.UnixMicro(), image.F == nil, len(image.Thumbnails)}; read != want {
				t.Fatalf("parsed back as %+v: %s", got, body)
			}
			if read := [...]string{got.Name, got.URL, image.Mode}; utf8.ValidString(text) && read != [...]string{text, text, text} {
				t.Fatalf("%q parsed back as %q", text, read)
			}
		}
	})
}
