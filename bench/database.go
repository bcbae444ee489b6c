package main

import (
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
)

// fill creates and fills the database of a system.
func (s *system) fill(server, postgres string) error {
	digits := fmt.Sprintf("%x", sha256.Sum256([]byte(token)))
	name, isSQLite := strings.CutPrefix(s.database, "sqlite:")
	hash, maintenance := "x'"+digits+"'", []string{"ANALYZE"}
	if !isSQLite {
		// VACUUM and CHECKPOINT finish PostgreSQL's background work before the measurement.
		hash, maintenance = `'\x`+digits+"'", []string{"VACUUM ANALYZE", "CHECKPOINT"}
		_, database, _ := strings.Cut(s.database, "dbname=")
		if err := execute("pgx", postgres+"&dbname=postgres", "CREATE DATABASE "+database); err != nil {
			return err
		}
	}
	migrate := exec.Command(server, "migrate")
	migrate.Env = append(os.Environ(), "DATABASE_URL="+s.database)
	if output, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, output)
	}
	statements := strings.Split(strings.NewReplacer("$LINKS", strconv.Itoa(s.links), "$KEY_HASH", hash).Replace(data), ";\n")
	return execute(s.driver(), name, append(statements, maintenance...)...)
}

func (s *system) driver() string {
	if strings.HasPrefix(s.database, "sqlite:") {
		return "sqlite"
	}
	return "pgx"
}

func execute(driver, name string, statements ...string) error {
	connections, err := sql.Open(driver, name)
	if err != nil {
		return err
	}
	defer func() { _ = connections.Close() }()
	for _, statement := range statements {
		if _, err := connections.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// startPostgres creates and starts a cluster with the defaults of PostgreSQL, except for
// the options.
func startPostgres(options string) (database string, stop func(), err error) {
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(programs) == 0 {
		return "", nil, errors.New("there is no PostgreSQL in /usr/lib/postgresql")
	}
	folder, err := os.MkdirTemp("", "benchpg")
	if err != nil {
		return "", nil, err
	}
	attributes, err := unprivileged(folder)
	if err != nil {
		return "", nil, err
	}
	shell := func(script string) error {
		command := exec.Command("sh", "-c", script, "sh", programs[len(programs)-1], folder, options)
		command.Dir, command.SysProcAttr = folder, attributes
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	}
	stop = func() {
		_ = shell(`"$1/pg_ctl" -D "$2/data" -m fast stop`)
		_ = os.RemoveAll(folder)
	}
	err = shell(`"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 &&
		"$1/pg_ctl" -D "$2/data" -w -l "$2/log" -o "-k '$2' -c listen_addresses= $3" start`)
	if err != nil {
		stop()
		return "", nil, err
	}
	return "postgres:///?user=postgres&host=" + folder, stop, nil
}

// unprivileged returns the attributes to run a program that refuses to run as root,
// and makes it the owner of the folder.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(folder, uid, gid)
}
