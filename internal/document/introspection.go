package document

import (
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// Introspection determines who may query the schema.
type Introspection string

// The settings of Introspection.
const (
	IntrospectionOn            Introspection = "on"
	IntrospectionAuthenticated Introspection = "authenticated"
	IntrospectionOff           Introspection = "off"
)

// check returns an error if the client may not query the schema.
func (i Introspection) check(authenticated bool) *gqlerror.Error {
	switch {
	case i == IntrospectionOn, i == IntrospectionAuthenticated && authenticated:
		return nil
	case i == IntrospectionAuthenticated:
		return apierror.New(apierror.Unauthenticated, "Introspection requires authentication.")
	}
	return apierror.New(apierror.Forbidden, "Introspection is off.")
}
