// Package servertest helps tests of the whole program to wait until a server is ready, and to
// upload images to the server.
package servertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"regexp"
	"strings"
)

// Ready has the output of a server until it is ready, and the addresses in it.
type Ready struct {
	Output string
	URL    string // of the API
	Admin  string // URL of the admin listener, if there is one
}

var address = regexp.MustCompile(`(GraphQL|Metrics): +(\S+)/`)

// AwaitReady reads the standard output of a server until it is ready. The rest of the output
// is discarded as it comes.
func AwaitReady(output io.Reader) (Ready, error) {
	var ready Ready
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		ready.Output += lines.Text() + "\n"
		if match := address.FindStringSubmatch(lines.Text()); match != nil && match[1] == "GraphQL" {
			ready.URL = match[2]
		} else if match != nil {
			ready.Admin = match[2]
		}
		if strings.HasPrefix(lines.Text(), "Ready.") {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return ready, nil
		}
	}
	return ready, fmt.Errorf("the server did not start: %s", ready.Output)
}

// UploadMutation uploads the image of UploadForm.
const UploadMutation = "mutation($i: Upload!) { uploadImage(input: {image: $i}) { image { id } } }"

// UploadForm returns the body of a request whose variable i is an image, and its media type.
func UploadForm(mutation string, image []byte) (body *bytes.Buffer, mediaType string) {
	body = new(bytes.Buffer)
	form := multipart.NewWriter(body)
	text, _ := json.Marshal(mutation)
	_ = form.WriteField("operations", `{"query":`+string(text)+`,"variables":{"i":null}}`)
	_ = form.WriteField("map", `{"0":["variables.i"]}`)
	file, _ := form.CreateFormFile("0", "image.jpg")
	_, _ = file.Write(image)
	_ = form.Close()
	return body, form.FormDataContentType()
}
