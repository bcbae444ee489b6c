package db

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A sessionSetting is a setting of PostgreSQL on which the meaning of statements or results
// depends. Databases and roles may set different values.
type sessionSetting struct {
	name, value string
	differs     string // condition that the meaning of current_setting(name) differs, if it matters
	startup     bool   // whether PgBouncer keeps it for each client
}

var sessionSettings = []sessionSetting{
	{"standard_conforming_strings", "on", "<> 'on'", true},
	{"client_encoding", "UTF8", "<> 'UTF8'", true},
	{"DateStyle", "ISO, MDY", "NOT LIKE 'ISO,%'", true},
	{"TimeZone", "UTC", "", true}, // texts of times have their offset
	{"bytea_output", "hex", "<> 'hex'", false},
	{"extra_float_digits", "1", "::integer < 1", false}, // positions would be rounded
	{"gin_fuzzy_search_limit", "0", "<> '0'", false},    // searches would lose rows
}

// settingsQuery selects the process ID of the backend, and the names of differing settings.
var settingsQuery = func() string {
	var names []string
	for _, setting := range sessionSettings {
		if setting.differs != "" {
			names = append(names, fmt.Sprintf("CASE WHEN current_setting('%[1]s') %[2]s THEN '%[1]s' END", setting.name, setting.differs))
		}
	}
	return "SELECT pg_backend_pid(), concat_ws(' ', " + strings.Join(names, ", ") + ")"
}()

// fixSession changes a configuration so that every connection has the sessionSettings, or fails.
func fixSession(config *pgconn.Config) {
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool { return settingNamed(name) != nil })
	for _, setting := range sessionSettings {
		if setting.startup { // poolers reject the remaining settings
			config.RuntimeParams[setting.name] = setting.value
		}
	}
	config.AfterConnect = checkSession
}

func settingNamed(name string) *sessionSetting {
	for i, setting := range sessionSettings {
		if strings.EqualFold(setting.name, name) {
			return &sessionSettings[i]
		}
	}
	return nil
}

// checkSession sets the settings that differ. It returns an error behind a pooler, which
// may run each transaction in a different session.
func checkSession(ctx context.Context, connection *pgconn.PgConn) error {
	pid, settings, err := readSettings(ctx, connection)
	if err != nil {
		return err
	}
	for _, setting := range settings {
		if pid != strconv.FormatUint(uint64(connection.PID()), 10) {
			return fmt.Errorf("%s must be '%s', and a pooler does not keep settings of sessions: set it with ALTER ROLE or ALTER DATABASE", setting.name, setting.value)
		}
		if _, err := connection.Exec(ctx, "SET "+setting.name+" = '"+setting.value+"'").ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// readSettings returns the process ID of the backend, and the settings that differ.
func readSettings(ctx context.Context, connection *pgconn.PgConn) (pid string, settings []*sessionSetting, err error) {
	results, err := connection.Exec(ctx, settingsQuery).ReadAll()
	if err != nil {
		return "", nil, err
	}
	row := results[0].Rows[0]
	for name := range strings.FieldsSeq(string(row[1])) {
		settings = append(settings, settingNamed(name))
	}
	return string(row[0]), settings, nil
}
