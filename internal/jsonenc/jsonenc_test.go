package jsonenc_test

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"portfolio/internal/jsonenc"
)

func TestAppendNullable_AppendsNullForNil(t *testing.T) {
	value := true
	for want, value := range map[string]*bool{"xnull": nil, "xtrue": &value} {
		if got := string(jsonenc.AppendNullable([]byte("x"), value, strconv.AppendBool)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAppendInt_AppendsDigits(t *testing.T) {
	zero, least := 0, int64(math.MinInt64)
	for want, got := range map[string][]byte{
		"xnull":                 jsonenc.AppendInt[int]([]byte("x"), nil),
		"x0":                    jsonenc.AppendInt([]byte("x"), &zero),
		"x-9223372036854775808": jsonenc.AppendInt([]byte("x"), &least),
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAppendTime_AppendsMicrosecondsInUTC(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-13T10:05:43Z":           "2026-01-13T10:05:43Z",
		"2026-01-13T10:05:43.296310Z":    "2026-01-13T10:05:43.296310Z",
		"2026-01-13T10:05:43.000001Z":    "2026-01-13T10:05:43.000001Z",
		"2026-01-13T10:05:43.000000999Z": "2026-01-13T10:05:43Z",
		"2026-01-13T13:35:43.5+03:30":    "2026-01-13T10:05:43.500000Z",
		"0001-01-01T00:00:00Z":           "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999Z":    "9999-12-31T23:59:59.999999Z",
	} {
		parsed, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(jsonenc.AppendTime([]byte("x"), parsed)); got != "x"+want {
			t.Errorf("%s: got %s, want x%s", text, got, want)
		}
	}
}

func TestAppendHumanSize_FormatsAsLegacySystem(t *testing.T) {
	for size, want := range map[int64]string{
		0: "0.00 B", 5: "5.00 B", 1023: "1023.00 B", 1024: "1.00 KB", 1152: "1.12 KB", 5123: "5.00 KB",
		1048575: "1024.00 KB", 1 << 20: "1.00 MB", 1 << 50: "1024.00 TB", -5000: "-5000.00 B",
	} {
		if got := string(jsonenc.AppendHumanSize([]byte("x"), size)); got != "x"+want {
			t.Errorf("%d: got %s, want x%s", size, got, want)
		}
	}
}

// FuzzAppendTime checks that the text reads back as the same microsecond.
func FuzzAppendTime(f *testing.F) {
	f.Add(int64(1768298743), int64(296310000))
	f.Add(int64(0), int64(999))
	f.Fuzz(func(t *testing.T, seconds, nanoseconds int64) {
		want := time.Unix(seconds, nanoseconds).UTC().Truncate(time.Microsecond)
		if want.Year() < 1 || want.Year() > 9999 {
			t.Skip()
		}
		var got time.Time
		text := append(jsonenc.AppendTime([]byte{'"'}, time.Unix(seconds, nanoseconds)), '"')
		if err := json.Unmarshal(text, &got); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	})
}
