package compat

import (
	"net/http"
	"strconv"
	"time"

	"portfolio/internal/admission"
	"portfolio/internal/responsecache"
)

const optionsBody = `{"name":"Retrieve Portfolio Link","description":"Retrieves detailed information about a specific portfolio link by its unique ID.","renders":["application/json"],"parses":["application/json"]}`

// response is a response that is not yet written. Its body is JSON, or HTML if
// page is set.
type response struct {
	status     int
	body       []byte
	page       bool
	cached     *responsecache.Response // replaces body, if set
	retryAfter time.Duration           // for statuses 429 and 503
}

// detailResponse returns the REST framework's response with a message.
func detailResponse(buffer []byte, status int, detail string) response {
	body := append(appendString(append(buffer, `{"detail":`...), detail), '}')
	return response{status: status, body: body}
}

// pageResponse returns the web framework's own page, for requests that do not
// reach the REST framework.
func pageResponse(buffer []byte, status int) response {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	buffer = append(buffer, "<!doctype html>\n<html lang=\"en\"><title>"...)
	buffer = append(append(append(buffer, title...), "</title><h1>"...), title...)
	return response{status: status, body: append(buffer, "</h1></html>\n"...), page: true}
}

func tooManyRequests(buffer []byte, retryAfter time.Duration) response {
	unit, wait := " seconds.", admission.RetryAfter(retryAfter)
	if wait == "1" {
		unit = " second."
	}
	resp := detailResponse(buffer, http.StatusTooManyRequests, "Request was throttled. Expected available in "+wait+unit)
	resp.retryAfter = retryAfter
	return resp
}

func unavailable(buffer []byte, retryAfter time.Duration) response {
	resp := detailResponse(buffer, http.StatusServiceUnavailable, "Service temporarily unavailable, try again later.")
	resp.retryAfter = retryAfter
	return resp
}

// Header values that all responses share. They must not be modified.
var (
	pageType           = []string{"text/html; charset=utf-8"}
	jsonType           = []string{"application/json"}
	allow              = []string{"GET, HEAD, OPTIONS"}
	authenticate       = []string{"Token"}
	frameOptions       = []string{"DENY"}
	contentTypeOptions = []string{"nosniff"}
	referrerPolicy     = []string{"same-origin"}
)

func (resp response) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if resp.page {
		header["Content-Type"] = pageType
	} else {
		header["Content-Type"] = jsonType
		header["Allow"] = allow
	}
	if resp.status == http.StatusUnauthorized {
		header["Www-Authenticate"] = authenticate
	}
	if resp.retryAfter > 0 {
		header.Set("Retry-After", admission.RetryAfter(resp.retryAfter))
	}
	header["X-Frame-Options"] = frameOptions
	header["X-Content-Type-Options"] = contentTypeOptions
	header["Referrer-Policy"] = referrerPolicy
	body := resp.body
	if resp.cached != nil {
		body, header["Content-Length"] = resp.cached.Body, resp.cached.ContentLength
	} else {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(resp.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
