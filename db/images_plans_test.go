package db_test

import (
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portfolio/db"
)

// checkImagePlans checks the plans for a page of images, and that an index tells
// for each image whether it is used until the page is full.
func checkImagePlans(t *testing.T, database *db.DB, list db.List) {
	t.Helper()
	if slices.ContainsFunc(list.Order.Keys(), func(key db.Order) bool { return key.Field == db.OrderByUpdatedAt }) {
		return // images do not have it
	}
	wrong, lookUp := regexp.MustCompile(`Seq Scan`), regexp.MustCompile(`(Nested Loop|Merge) (Anti|Semi) Join[^\n]*\n( +Merge Cond[^\n]*\n)? *->  Index Scan`)
	if !database.Postgres() {
		wrong, lookUp = regexp.MustCompile(`SEARCH link[^\n]*\nUSE TEMP B-TREE FOR ORDER BY`), regexp.MustCompile(`SEARCH link (EXISTS )?USING COVERING INDEX`)
	}
	for _, cursor := range []sql.Null[db.Cursor]{{}, list.Cursor} {
		list.Cursor, list.Filter = cursor, db.Filter{}
		plan, err := database.ExplainImages(t.Context(), list)
		checkPlan(t, database, list, plan, err)
		for _, unused := range []bool{true, false} {
			list.Filter.Unused = sql.Null[bool]{V: unused, Valid: true}
			plan, err := database.ExplainImages(t.Context(), list)
			if err != nil || !lookUp.MatchString(plan) || !strings.Contains(plan, "portfolio_links_image_id") || wrong.MatchString(plan) {
				t.Errorf("%+v: %v\n%s", list, err, plan)
			}
		}
	}
}

// checkLinksOfImagesPlans checks the plans for the links of an image with many
// links, and of several images, and for the rows that refer to files.
func checkLinksOfImagesPlans(t *testing.T, database *db.DB, middle sql.Null[db.Cursor]) {
	t.Helper()
	for _, cursor := range []sql.Null[db.Cursor]{{}, middle} {
		for _, backward := range []bool{false, true} {
			list := db.List{Order: db.NewOrderBy(), Cursor: cursor, Backward: backward, Limit: 20, WithRows: true, WithImages: true}
			plan, err := database.ExplainLinksOfImages(t.Context(), list, 2)
			checkPlan(t, database, list, plan, err)
			plan, err = database.ExplainLinksOfImages(t.Context(), list, 2, 5, 7)
			if err != nil || !strings.Contains(plan, "portfolio_links_image_id") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN portfolio_links") {
				t.Errorf("%+v: %v\n%s", list, err, plan)
			}
		}
	}
	plan, err := database.ExplainUsedFiles(t.Context(), "t1", "t2")
	if err != nil || !strings.Contains(plan, "images_path") || !strings.Contains(plan, "thumbnails_path") {
		t.Errorf("%v\n%s", err, plan)
	}
}
