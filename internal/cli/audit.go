package cli

import (
	"context"
	"errors"
	"os"
	"os/user"
	"strconv"

	"portfolio/db"
	"portfolio/internal/audit"
)

// audit logs the rows that a command changed, unless the command failed with err.
func (e environment) audit(ctx context.Context, action string, err error, nodes ...db.NodeID) {
	unknown := errors.Is(err, db.ErrUnavailable) || errors.Is(err, context.Canceled)
	if !unknown && (err != nil || len(nodes) == 0) {
		return
	}
	var objects []string
	for _, id := range nodes {
		if id.ID != 0 { // known
			objects = append(objects, audit.Node(id))
		}
	}
	e.auditObjects(ctx, action, unknown, objects...)
}

// auditObjects logs the objects that a command changed. If unknown is set, the command may have
// changed them.
func (e environment) auditObjects(ctx context.Context, action string, unknown bool, objects ...string) {
	audit.Log(ctx, e.log.Handler(), audit.Change{Action: action, Actor: audit.CLI, Username: systemUser(), Unknown: unknown, Objects: objects})
}

// systemUser returns the name of the user of the operating system, or its number.
func systemUser() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return strconv.Itoa(os.Getuid())
}
