package db

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFeedTriggers_NameTablesAndTriggers checks that feed_triggers.sql names each table of
// migrations but moved_rows, and each trigger that notifies. The feed does not watch others.
func TestFeedTriggers_NameTablesAndTriggers(t *testing.T) {
	t.Parallel()
	list := regexp.MustCompile(`unnest\(ARRAY\[(.*)\]\)`).FindStringSubmatch(feedTriggers)
	if list == nil {
		t.Fatal("feed_triggers.sql has no array of tables")
	}
	var want []string
	for _, created := range createdColumns {
		if created.table != "moved_rows" { // which no response depends on
			want = append(want, "'"+created.table+"'")
		}
	}
	slices.Sort(want)
	if got := strings.Split(list[1], ", "); !slices.Equal(got, want) {
		t.Errorf("got the tables %v, want %v", got, want)
	}
	for _, match := range regexp.MustCompile(`TRIGGER (feed_\w+)`).FindAllStringSubmatch(createTriggers, -1) {
		if !strings.Contains(feedTriggers, "'"+match[1]+"'") {
			t.Errorf("feed_triggers.sql lacks the trigger %s", match[1])
		}
	}
}
