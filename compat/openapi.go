package compat

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPI []byte

// ServeOpenAPI serves the OpenAPI 3.1 document of the endpoint.
func ServeOpenAPI(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.Header()["X-Content-Type-Options"] = contentTypeOptions
	_, _ = w.Write(openAPI)
}
