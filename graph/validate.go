package graph

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
)

// Lengths in characters.
const (
	maxName        = 255
	maxUsername    = 150
	maxURL         = 2000
	maxDescription = 10_000
)

const maxCodes = 100

// faults are all that is wrong with the arguments of a field.
type faults []*fault

func (f *faults) add(message string, field ...any) {
	*f = append(*f, &fault{CodeBadUserInput, field, message})
}

// err is nil without faults.
func (f faults) err() error {
	var list gqlerror.List
	for _, fault := range f {
		list = append(list, gqlerror.Wrap(fault))
	}
	if list == nil {
		return nil
	}
	return list
}

// with adds to the faults what the database found of them. Any other error
// counts only without faults.
func (f faults) with(err error) error {
	if errors.Is(err, db.ErrNoPortfolio) {
		f.add("names no portfolio", "input", "portfolioId")
	}
	if errors.Is(err, db.ErrNoImage) {
		f.add("names no image", "input", "imageId")
	}
	if len(f) > 0 {
		return f.err()
	}
	return err
}

// text checks what is stored as it is given.
func (f *faults) text(s string, atLeast, atMost int, field ...any) {
	switch length := utf8.RuneCountInString(s); {
	case !isText(s):
		f.add("must not hold NUL or what is not UTF-8", field...)
	case length < atLeast:
		f.add("must not be blank", field...)
	case length > atMost:
		f.add("must have at most "+strconv.Itoa(atMost)+" characters", field...)
	}
}

// name checks and trims a name.
func (f *faults) name(s string, atMost int, field ...any) string {
	s = strings.TrimSpace(s)
	f.text(s, 1, atMost, field...)
	return s
}

func (f *faults) optional(s *string, atMost int, field ...any) {
	if s != nil {
		f.text(*s, 0, atMost, field...)
	}
}

func (f *faults) url(s *string, field ...any) {
	if s == nil {
		return
	}
	before := len(*f)
	f.text(*s, 0, maxURL, field...)
	if len(*f) > before {
		return
	}
	parsed, err := url.Parse(*s)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" || strings.ContainsFunc(*s, unicode.IsSpace) {
		f.add("must be an absolute http or https address", field...)
	}
}

func (f *faults) codes(codes []int) {
	if len(codes) > maxCodes {
		f.add("must have at most "+strconv.Itoa(maxCodes)+" entries", "input", "codes")
		return
	}
	for i, code := range codes {
		if code < 1 || code > math.MaxInt32 {
			f.add("must be 1 to "+strconv.Itoa(math.MaxInt32), "input", "codes", i)
		}
	}
}

// given is the value of a field that may be left out but not null, nil where
// it is left out.
func given[T any](f *faults, value graphql.Omittable[*T], name string) *T {
	if value.IsSet() && value.Value() == nil {
		f.add("must not be null", "input", name)
	}
	return value.Value()
}

// assign changes what is given.
func assign[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

func (f *faults) changedName(value graphql.Omittable[*string]) *string {
	name := given(f, value, "name")
	if name != nil {
		trimmed := f.name(*name, maxName, "input", "name")
		name = &trimmed
	}
	return name
}

func (i CreatePortfolioLinkInput) link() (*db.PortfolioLink, faults) {
	var faults faults
	name := faults.name(i.Name, maxName, "input", "name")
	faults.url(i.URL, "input", "url")
	faults.optional(i.Description, maxDescription, "input", "description")
	faults.oneImage(i.ImageID, i.Image)
	return &db.PortfolioLink{PortfolioID: i.PortfolioID, ImageID: i.ImageID, Name: name, URL: i.URL, Description: i.Description}, faults
}

func (i UpdatePortfolioLinkInput) change() (portfolioID *int64, change func(*db.PortfolioLink), faults faults) {
	portfolioID = given(&faults, i.PortfolioID, "portfolioId")
	name := faults.changedName(i.Name)
	faults.url(i.URL.Value(), "input", "url")
	faults.optional(i.Description.Value(), maxDescription, "input", "description")
	faults.oneImage(i.ImageID.Value(), i.Image)
	return portfolioID, func(link *db.PortfolioLink) {
		assign(&link.PortfolioID, portfolioID)
		assign(&link.Name, name)
		for _, field := range []struct {
			to    **string
			value graphql.Omittable[*string]
		}{{&link.URL, i.URL}, {&link.Description, i.Description}} {
			if field.value.IsSet() {
				*field.to = field.value.Value()
			}
		}
		if i.ImageID.IsSet() {
			link.ImageID = i.ImageID.Value()
		}
	}, faults
}

func (f *faults) oneImage(id *int64, upload *graphql.Upload) {
	if id != nil && upload != nil {
		f.add("cannot be given together with imageId", "input", "image")
	}
}

func (i SetUserPermissionsInput) change() (func(*db.User), faults) {
	var faults faults
	faults.text(i.Username, 1, maxUsername, "input", "username")
	active, staff, admin := given(&faults, i.IsActive, "isActive"), given(&faults, i.IsStaff, "isStaff"), given(&faults, i.IsAdmin, "isAdmin")
	codes, isSet := i.Codes.ValueOK()
	if isSet && codes == nil {
		faults.add("must not be null", "input", "codes")
	}
	faults.codes(codes)
	return func(user *db.User) {
		assign(&user.IsActive, active)
		assign(&user.IsStaff, staff)
		assign(&user.IsAdmin, admin)
		if isSet {
			user.Codes = codes
		}
	}, faults
}
