package graph

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/graph/model"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
)

// Lengths in characters.
const (
	maxName        = 255
	maxUsername    = 150
	maxURL         = 2000
	maxDescription = 10_000
	maxAlt         = 1000
)

// inputErrors collects the validation errors of the arguments of a field.
type inputErrors []*apierror.InputError

func (e *inputErrors) add(message string, field ...any) {
	*e = append(*e, apierror.Invalid(message, field...))
}

// err returns all validation errors as one error, or nil.
func (e inputErrors) err() error {
	var list gqlerror.List
	for _, inputError := range e {
		list = append(list, gqlerror.Wrap(inputError))
	}
	if list == nil {
		return nil
	}
	return list
}

// orError returns the validation errors, or else err. It adds an error for each row of a
// db.MissingError. Each of paths is the path of an object that refers to rows.
func (e inputErrors) orError(err error, paths ...path) error {
	if missing, ok := errors.AsType[db.MissingError](err); ok {
		fields := map[db.NodeType]string{db.PortfolioNode: "portfolioId", db.ImageNode: "imageId"}
		for _, m := range missing {
			e.add("does not exist", paths[m.Index].field(fields[m.Type])...)
		}
	}
	if len(e) > 0 {
		return e.err()
	}
	return err
}

// path is the path of an object in the arguments.
type path []any

// field returns the path of a field of the object.
func (p path) field(name string) []any { return append(slices.Clip(p), name) }

// text checks a string that is stored unchanged.
func (e *inputErrors) text(s string, atLeast, atMost int, field ...any) {
	switch length := utf8.RuneCountInString(s); {
	case !db.CanStoreText(s):
		e.add("must be valid UTF-8 without NUL", field...)
	case length < atLeast:
		e.add("must not be blank", field...)
	case length > atMost:
		e.add("must have at most "+strconv.Itoa(atMost)+" characters", field...)
	}
}

// name trims a name and checks it.
func (e *inputErrors) name(s string, atMost int, field ...any) string {
	s = strings.TrimSpace(s)
	e.text(s, 1, atMost, field...)
	return s
}

func (e *inputErrors) optional(s *string, atMost int, field ...any) {
	if s != nil {
		e.text(*s, 0, atMost, field...)
	}
}

// id returns the number of an ID. The type of a global ID must be nodeType.
func (e *inputErrors) id(id db.NodeID, nodeType db.NodeType, field ...any) int64 {
	if id.Type != "" && id.Type != nodeType {
		e.add("must be a number or a nodeId of type "+string(nodeType), field...)
	}
	return id.ID
}

// onlyID returns the number of an ID, or its validation error. It is for fields without other
// values to check.
func onlyID(id db.NodeID, nodeType db.NodeType, field ...any) (int64, error) {
	var errs inputErrors
	number := errs.id(id, nodeType, field...)
	return number, errs.err()
}

func (e *inputErrors) optionalID(id *db.NodeID, nodeType db.NodeType, field ...any) *int64 {
	if id == nil {
		return nil
	}
	number := e.id(*id, nodeType, field...)
	return &number
}

// url checks a URL, which may be nil.
func (e *inputErrors) url(s *string, field ...any) {
	if s == nil {
		return
	}
	count := len(*e)
	e.text(*s, 0, maxURL, field...)
	if len(*e) > count {
		return
	}
	parsed, err := url.Parse(*s)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" || strings.ContainsFunc(*s, unicode.IsSpace) {
		e.add("must be an absolute http or https URL", field...)
	}
}

// codes returns the codes of the permissions to grant.
func (e *inputErrors) codes(permissions []auth.Permission) []int {
	codes := []int{}
	for i, permission := range permissions {
		if permission == auth.PermissionAdmin {
			e.add("must not contain ADMIN, which isAdmin grants", "input", "permissions", i)
			continue
		}
		codes = append(codes, auth.PortfolioLinkCode)
	}
	return codes
}

// requireNonNull returns the value of a field that may be omitted but not null,
// or nil if it is omitted.
func requireNonNull[T any](e *inputErrors, value graphql.Omittable[*T], name string) *T {
	if value.IsSet() && value.Value() == nil {
		e.add("must not be null", "input", name)
	}
	return value.Value()
}

// pointerTo returns a pointer to the value of a field, or nil if it is omitted.
func pointerTo[T any](value graphql.Omittable[T]) *T {
	if value, ok := value.ValueOK(); ok {
		return &value
	}
	return nil
}

func (e *inputErrors) changedName(value graphql.Omittable[*string]) *string {
	name := requireNonNull(e, value, "name")
	if name != nil {
		trimmed := e.name(*name, maxName, "input", "name")
		name = &trimmed
	}
	return name
}

func (e *inputErrors) newLink(i *model.CreatePortfolioLinkInput, p path) *db.PortfolioLink {
	link := &db.PortfolioLink{
		PortfolioID: e.id(i.PortfolioID, db.PortfolioNode, p.field("portfolioId")...),
		ImageID:     e.optionalID(i.ImageID, db.ImageNode, p.field("imageId")...),
		Name:        e.name(i.Name, maxName, p.field("name")...),
		URL:         i.URL,
		Description: i.Description,
	}
	e.url(i.URL, p.field("url")...)
	e.optional(i.Description, maxDescription, p.field("description")...)
	e.checkExclusive(i.ImageID, i.Image, p.field("image")...)
	return link
}

// linkUpdate returns the ID of the link and its update, or validation errors.
func linkUpdate(i model.UpdatePortfolioLinkInput) (id int64, update db.LinkUpdate, errs inputErrors) {
	id = errs.id(i.ID, db.PortfolioLinkNode, "input", "id")
	update = db.LinkUpdate{
		PortfolioID: errs.optionalID(requireNonNull(&errs, i.PortfolioID, "portfolioId"), db.PortfolioNode, "input", "portfolioId"),
		Name:        errs.changedName(i.Name),
		URL:         pointerTo(i.URL),
		Description: pointerTo(i.Description),
	}
	if i.ImageID.IsSet() {
		update.ImageID = new(errs.optionalID(i.ImageID.Value(), db.ImageNode, "input", "imageId"))
	}
	errs.url(i.URL.Value(), "input", "url")
	errs.optional(i.Description.Value(), maxDescription, "input", "description")
	errs.checkExclusive(i.ImageID.Value(), i.Image, "input", "image")
	return id, update, errs
}

// portfolioUpdate returns the ID of a portfolio, and its update.
func portfolioUpdate(i model.UpdatePortfolioInput) (id int64, update db.PortfolioUpdate, errs inputErrors) {
	id = errs.id(i.ID, db.PortfolioNode, "input", "id")
	update.Name = errs.changedName(i.Name)
	return id, update, errs
}

// imageUpdate returns the ID of an image, and its update.
func imageUpdate(i model.UpdateImageInput) (id int64, update db.ImageUpdate, errs inputErrors) {
	id = errs.id(i.ID, db.ImageNode, "input", "id")
	errs.optional(i.Alt.Value(), maxAlt, "input", "alt")
	update.Alt = pointerTo(i.Alt)
	return id, update, errs
}

// linkMove returns the ID of the link and its move, or validation errors.
func linkMove(i model.MovePortfolioLinkInput) (id int64, move db.LinkMove, errs inputErrors) {
	id = errs.id(i.ID, db.PortfolioLinkNode, "input", "id")
	anchor := i.BeforeID
	if anchor == nil {
		anchor, move.After = i.AfterID, true
	}
	switch {
	case anchor == nil:
		errs.add("or afterId must be given", "input", "beforeId")
		return id, move, errs
	case i.BeforeID != nil && i.AfterID != nil:
		errs.add("cannot be given together with beforeId", "input", "afterId")
	}
	move.AnchorID = errs.id(*anchor, db.PortfolioLinkNode, "input", anchorField(move))
	if errs == nil && move.AnchorID == id {
		errs.add("must be another link", "input", anchorField(move))
	}
	return id, move, errs
}

func anchorField(move db.LinkMove) string {
	if move.After {
		return "afterId"
	}
	return "beforeId"
}

// anchorError returns err, or a validation error if the anchor of a move causes err.
func anchorError(err error, move db.LinkMove) error {
	switch {
	case errors.Is(err, db.ErrNoAnchor):
		return apierror.Invalid("does not exist", "input", anchorField(move))
	case errors.Is(err, db.ErrOtherPortfolio):
		return apierror.Invalid("must be a link of the same portfolio", "input", anchorField(move))
	}
	return err
}

func (e *inputErrors) checkExclusive(id *db.NodeID, upload *graphql.Upload, field ...any) {
	if id != nil && upload != nil {
		e.add("cannot be given together with imageId", field...)
	}
}

// CheckUsername returns the name of a new user without surrounding white space, or the
// validation error. Commands and mutations share it.
func CheckUsername(name string) (trimmed string, err error) {
	var errs inputErrors
	trimmed = errs.name(name, maxUsername)
	return trimmed, errs.first()
}

// CheckLabel returns the validation error of the label of a new token, or nil.
func CheckLabel(label *string) error {
	var errs inputErrors
	errs.optional(label, maxName)
	return errs.first()
}

// first returns the message of the first validation error as an error, or nil.
func (e inputErrors) first() error {
	if len(e) == 0 {
		return nil
	}
	return errors.New(e[0].Message)
}

func newUser(i model.CreateUserInput) (*db.User, inputErrors) {
	var errs inputErrors
	user := &db.User{
		Username: errs.name(i.Username, maxUsername, "input", "username"),
		IsActive: true, IsStaff: i.IsStaff, IsAdmin: i.IsAdmin,
		Codes: errs.codes(i.Permissions),
	}
	if len(user.Codes) > 0 && !i.IsStaff {
		errs.add(needIsStaff, "input", "permissions")
	}
	return user, errs
}

const needIsStaff = "need isStaff"

// newToken returns a token, and its new key.
func newToken(i model.CreateTokenInput) (token *db.Token, key string, errs inputErrors) {
	errs.text(i.Username, 1, maxUsername, "input", "username")
	errs.optional(i.Label, maxName, "input", "label")
	if i.ExpiresAt != nil && !i.ExpiresAt.After(time.Now()) {
		errs.add("must be in the future", "input", "expiresAt")
	}
	key = auth.NewKey()
	hash := auth.HashKey(key)
	return &db.Token{KeyHash: hash[:], Label: i.Label, ExpiresAt: i.ExpiresAt}, key, errs
}

// userError returns err, or a validation error if err rejects the update.
func userError(err error, update db.UserUpdate) error {
	switch {
	case errors.Is(err, db.ErrNotStaff):
		return apierror.Invalid(needIsStaff, "input", "permissions")
	case errors.Is(err, db.ErrLastAdmin):
		field := "isActive"
		if update.IsAdmin != nil && !*update.IsAdmin {
			field = "isAdmin"
		}
		return &apierror.InputError{Code: apierror.Conflict, Field: []any{"input", field}, Message: "must stay true for the last active admin"}
	}
	return err
}

// userUpdate returns the update of a user, or validation errors.
func userUpdate(i model.SetUserPermissionsInput) (db.UserUpdate, inputErrors) {
	var errs inputErrors
	errs.text(i.Username, 1, maxUsername, "input", "username")
	update := db.UserUpdate{
		IsActive: requireNonNull(&errs, i.IsActive, "isActive"),
		IsStaff:  requireNonNull(&errs, i.IsStaff, "isStaff"),
		IsAdmin:  requireNonNull(&errs, i.IsAdmin, "isAdmin"),
	}
	if permissions, ok := i.Permissions.ValueOK(); ok {
		if permissions == nil {
			errs.add("must not be null", "input", "permissions")
		}
		granted := errs.codes(permissions)
		update.Codes = map[int]bool{auth.PortfolioLinkCode: slices.Contains(granted, auth.PortfolioLinkCode)}
	}
	return update, errs
}
