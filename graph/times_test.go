package graph_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"portfolio/graph/graphtest"
)

// TestFilters_RoundBoundsBetweenMicroseconds gives bounds that no stored time can equal.
func TestFilters_RoundBoundsBetweenMicroseconds(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		count := func(filter string) string {
			_, body := graphtest.Query(t, server, admin, `{portfolioLinks(filter:{createdAt:{`+filter+`}}){totalCount}}`, nil)
			return body
		}
		var created struct{ PortfolioLink struct{ CreatedAt string } }
		if code := mutate(t, server, `{portfolioLink(id:4){createdAt}}`, nil, &created); code != "" {
			t.Fatal(code)
		}
		const stored, same = "2026-01-13T10:05:43.296270", 104 // of link 4, and how many have this time
		if created.PortfolioLink.CreatedAt != stored+"Z" {
			t.Fatalf("created at %s", created.PortfolioLink.CreatedAt)
		}
		for bounds, want := range map[string]int{
			`from:"` + stored + `Z",before:"` + stored + `9Z"`:                            same,
			`from:"` + stored + `Z",before:"` + stored + `001Z"`:                          same,
			`from:"` + stored + `000Z",before:"2026-01-13t13:35:43.296271+03:30"`:         same,
			`from:"` + stored + `9Z",before:"2026-01-13T10:05:43.296271Z"`:                0,
			`from:"` + stored + `001z",before:"2026-01-13T10:05:43.296271Z"`:              0,
			`from:"2026-01-13T10:05:43.2962699Z",before:"2026-01-13T10:05:43.296270001Z"`: same,
			`from:"2026-01-13T10:05:43.2962699Z",before:"2026-01-13T10:05:43.29627Z"`:     0,
		} {
			if body := count(bounds); body != fmt.Sprintf(`{"data":{"portfolioLinks":{"totalCount":%d}}}`, want) {
				t.Errorf("%s: %s", bounds, body)
			}
		}
	})
}

// TestUpdates_ConflictBetweenMicroseconds expects times near the last update.
func TestUpdates_ConflictBetweenMicroseconds(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		const edit = `mutation($i:UpdatePortfolioLinkInput!){updatePortfolioLink(input:$i){portfolioLink{updatedAt}}}`
		const stored = "2026-01-13T10:05:43.296310" // of link 4
		for _, expected := range []string{stored + "9Z", stored + "001Z", "2026-01-13T10:05:43.2963099Z", "2026-01-13T10:05:43.296309999Z"} {
			if code := mutate(t, server, edit, object{"i": object{"id": 4, "expectedUpdatedAt": expected}}, nil); code != "CONFLICT" {
				t.Errorf("%s: code %q", expected, code)
			}
		}
		if code := mutate(t, server, edit, object{"i": object{"id": 4, "expectedUpdatedAt": "2026-01-13t13:35:43.296310000+03:30"}}, nil); code != "" {
			t.Errorf("code %q", code)
		}
	})
}

// TestTimes_FollowRFC3339 gives texts that are and that are not RFC 3339, as a literal and as a
// variable.
func TestTimes_FollowRFC3339(t *testing.T) {
	t.Parallel()
	forms := map[string]bool{
		"2026-01-13T10:05:43Z": true, "2026-01-13t10:05:43z": true, "2026-01-13T10:05:43.2Z": true, "2026-01-13T10:05:43.123456789Z": true,
		"2026-01-13T10:05:43+23:59": true, "2026-01-13T10:05:43-00:00": true, "0001-01-01T00:00:00Z": true, "9999-12-31T23:59:59.999999Z": true, "2024-02-29T00:00:00Z": true,
		"2026-01-13T0:05:43Z": false, "2026-01-13T10:05:43,2Z": false, "2026-01-13T10:05:43+24:00": false, "2026-01-13T10:05:43+01:60": false, "2026-01-13T10:05:43.Z": false,
		"2026-01-13 10:05:43Z": false, "2026-01-13T10:05:43": false, "2026-01-13T10:05:43+0330": false, "2026-01-13T10:05:43+03": false, "2026-1-13T10:05:43Z": false,
		"2026-01-13T24:00:00Z": false, "2026-01-13T23:59:60Z": false, "2026-02-30T00:00:00Z": false, "2026-01-13T10:5:43Z": false, "2026-01-13": false, "": false,
		"2026-01-13T10:05:43.1234567890Z": false, "2026-01-13T10:05:43." + strings.Repeat("0", 100) + "Z": false, " 2026-01-13T10:05:43Z": false, "2026-01-13T10:05:43Z ": false,
		"0000-12-31T23:59:59Z": false, "0001-01-01T00:00:00+00:01": false, "9999-12-31T23:59:59-00:01": false, "9999-12-31T23:59:59.9999991Z": false, "10000-01-01T00:00:00Z": false,
	}
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for text, valid := range forms {
			_, literal := graphtest.Query(t, server, admin, fmt.Sprintf(`{portfolioLinks(filter:{createdAt:{from:%q}}){totalCount}}`, text), nil)
			_, variable := graphtest.Query(t, server, admin, `query($t:DateTime){portfolioLinks(filter:{createdAt:{from:$t}}){totalCount}}`, object{"t": text})
			for _, body := range []string{literal, variable} {
				if strings.Contains(body, `"totalCount"`) != valid || !valid && !strings.Contains(body, "BAD_USER_INPUT") {
					t.Errorf("%s: %s", text, body)
				}
			}
		}
	})
}
