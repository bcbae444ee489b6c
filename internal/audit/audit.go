// Package audit logs changes, and the users who made them.
package audit

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"portfolio/db"
)

// Change is a change of the database or the files.
type Change struct {
	Action   string   // field of Mutation, or command
	Actor    string   // User or CLI
	UserID   int64    // of an actor that is a user
	Username string   // of the API, or of the operating system
	Unknown  bool     // whether the outcome is unknown
	Objects  []string // changed objects, by their Node
}

// The kinds of actors.
const (
	User = "user"
	CLI  = "cli"
)

// Node returns the name of an object of the database, such as Portfolio:1. If the type is
// unknown, the name is the ID alone.
func Node(id db.NodeID) string {
	number := strconv.FormatInt(id.ID, 10)
	if id.Type == "" {
		return number
	}
	return string(id.Type) + ":" + number
}

// maxObjects is the number of objects in one record. Collectors of logs cut long
// records.
const maxObjects = 100

// Log logs a change at level info, even if the handler has a higher level. It writes several
// records if many objects changed.
func Log(ctx context.Context, handler slog.Handler, c Change) {
	outcome := "ok"
	if c.Unknown {
		outcome = "unknown"
	}
	chunks := slices.Collect(slices.Chunk(c.Objects, maxObjects))
	if chunks == nil {
		chunks = [][]string{{}}
	}
	for _, objects := range chunks {
		record := slog.NewRecord(time.Now(), slog.LevelInfo, "audit", 0)
		record.AddAttrs(slog.String("action", c.Action), slog.String("outcome", outcome), slog.String("actor", c.Actor))
		if c.UserID != 0 {
			record.AddAttrs(slog.Int64("user_id", c.UserID))
		}
		record.AddAttrs(slog.String("username", c.Username), slog.Any("objects", objects))
		_ = handler.Handle(ctx, record) // best effort
	}
}
