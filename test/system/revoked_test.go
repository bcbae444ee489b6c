package system

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// slowBody is a body whose client does something before it sends the last part.
type slowBody struct {
	parts  []string
	before func()
}

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.parts) == 0 {
		return 0, io.EOF
	}
	if len(b.parts) == 1 && b.before != nil {
		b.before()
		b.before = nil
	}
	n := copy(p, b.parts[0])
	if b.parts[0] = b.parts[0][n:]; b.parts[0] == "" {
		b.parts = b.parts[1:]
	}
	return n, nil
}

// slowMutations are mutations whose clients lose their rights before the last part.
var slowMutations = map[string]struct {
	contentType string
	parts       []string
}{
	"document": {"application/json", []string{`{"query":"mutation{createPortf`, `olio(input:{name:\"late\"}){portfolio{id}}}"}`}},
	"upload": {"multipart/form-data; boundary=X", []string{
		"--X\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" +
			`{"query":"mutation($f:Upload!){uploadImage(input:{image:$f}){image{id}}}","variables":{"f":null}}` +
			"\r\n--X\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{\"0\":[\"variables.f\"]}\r\n--X\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.png\"\r\n\r\n",
		smallPNG + "\r\n--X--\r\n",
	}},
}

// smallPNG is an image of one pixel.
const smallPNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"

// TestServer_RefusesUserDeletedWhileBodyIsSent checks that a mutation is not executed for a
// user who was deleted before its body was complete.
func TestServer_RefusesUserDeletedWhileBodyIsSent(t *testing.T) {
	t.Parallel()
	for name, c := range slowMutations {
		t.Run(name, func(t *testing.T) {
			dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
				server, _ := startRecorded(t, dsn)
				send := func(before func()) (status int, code string) {
					t.Helper()
					request, err := http.NewRequest(http.MethodPost, server.URL+"/graphql", &slowBody{parts: slices.Clone(c.parts), before: before})
					if err != nil {
						t.Fatal(err)
					}
					request.Header = http.Header{"Content-Type": {c.contentType}, "Authorization": {"Token " + graphtest.Admin}, "Expect": {"100-continue"}}
					response, err := (&http.Transport{ExpectContinueTimeout: patience}).RoundTrip(request)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = response.Body.Close() }()
					var body struct {
						Errors []struct {
							Extensions struct{ Code string }
						}
					}
					if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
						t.Fatal(err)
					}
					if len(body.Errors) > 0 {
						code = body.Errors[0].Extensions.Code
					}
					return response.StatusCode, code
				}
				before := countRows(t, dsn)
				status, code := send(func() { dbtest.Exec(t, dsn, "DELETE FROM users WHERE id = 1") })
				if status != http.StatusUnauthorized || code != "UNAUTHENTICATED" {
					t.Errorf("got %d %s, want 401 UNAUTHENTICATED", status, code)
				}
				if got := countRows(t, dsn); got != before {
					t.Errorf("the mutation was executed: %d rows, and %d before it", got, before)
				}
			})
		})
	}
}

// countRows returns the number of portfolios and images.
func countRows(t *testing.T, dsn string) int {
	t.Helper()
	database := dbtest.Open(t, dsn)
	portfolios, err := database.Portfolios(t.Context(), db.List{WithTotal: true})
	if err != nil {
		t.Fatal(err)
	}
	images, err := database.Images(t.Context(), db.List{WithTotal: true})
	if err != nil {
		t.Fatal(err)
	}
	return portfolios.Total + images.Total
}
