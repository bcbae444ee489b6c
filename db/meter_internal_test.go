package db

import (
	"reflect"
	"strings"
	"testing"
)

// TestSize_CountsEveryText checks that no text of a row is missing in its size, as a
// column that was added later might be.
func TestSize_CountsEveryText(t *testing.T) {
	t.Parallel()
	const length = 1000
	for _, row := range []sizer{new(User), new(Token), new(Portfolio), new(PortfolioLink), new(Image), new(Thumbnail), new(TokenOwner)} {
		empty := row.size()
		texts := fillTexts(reflect.ValueOf(row).Elem(), strings.Repeat("x", length))
		if texts == 0 {
			t.Errorf("%T has no texts", row)
		}
		if got, want := row.size(), empty+texts*length; got < want {
			t.Errorf("%T with %d texts: size %d, want at least %d", row, texts, got, want)
		}
	}
}

// fillTexts sets each text of a row, and of the rows that belong to it. It returns how
// many there are.
func fillTexts(row reflect.Value, text string) (texts int) {
	for _, field := range row.Fields() {
		if !field.CanSet() {
			continue
		}
		value := field
		if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Pointer {
			value.Set(reflect.Append(value, reflect.Zero(value.Type().Elem())))
			value = value.Index(0)
		}
		if value.Kind() == reflect.Pointer {
			value.Set(reflect.New(value.Type().Elem()))
			value = value.Elem()
		}
		switch value.Kind() {
		case reflect.String:
			value.SetString(text)
			texts++
		case reflect.Struct:
			texts += fillTexts(value, text)
		}
	}
	return texts
}
