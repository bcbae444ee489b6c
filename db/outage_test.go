package db_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// listen responds to each connection with fn, and returns the address. Clients close connections
// first: a reset could discard the response.
func listen(t *testing.T, fn func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			fn(connection)
			_, _ = io.Copy(io.Discard, connection)
			_ = connection.Close()
		}
	}()
	return listener.Addr().String()
}

// acceptTLS responds to the request for TLS with a handshake.
func acceptTLS(config *tls.Config) func(net.Conn) {
	return func(connection net.Conn) {
		if _, err := io.ReadFull(connection, make([]byte, 8)); err == nil {
			_, _ = connection.Write([]byte("S"))
			_ = tls.Server(connection, config).Handshake()
		}
	}
}

// refuse responds with an error of PostgreSQL.
func refuse(code string) func(net.Conn) {
	return func(connection net.Conn) {
		response, err := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: "refused"}).Encode(nil)
		if err == nil {
			_, _ = io.ReadFull(connection, make([]byte, 8))
			_, _ = connection.Write(response)
		}
	}
}

// certify returns a certificate that signs itself, and the name of its file.
func certify(t *testing.T, host string, expires time.Time) (config *tls.Config, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: expires.AddDate(-2, 0, 0), NotAfter: expires,
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.ParseIP(host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// TestIsOutage_ExcludesErrorsOfSettings checks that only errors which may go away by themselves
// are outages.
func TestIsOutage_ExcludesErrorsOfSettings(t *testing.T) {
	t.Parallel()
	future := time.Now().AddDate(1, 0, 0)
	valid, validFile := certify(t, "127.0.0.1", future)
	foreign, foreignFile := certify(t, "127.0.0.2", future)
	expired, expiredFile := certify(t, "127.0.0.1", time.Now().AddDate(-1, 0, 0))
	mutual := valid.Clone()
	mutual.ClientAuth = tls.RequireAnyClientCert
	outdated := valid.Clone()
	outdated.MaxVersion = tls.VersionTLS11
	away := listen(t, func(connection net.Conn) { _ = connection.Close() })
	untrusted := listen(t, acceptTLS(valid))
	noTLS := listen(t, func(connection net.Conn) {
		_, _ = io.ReadFull(connection, make([]byte, 8))
		_, _ = connection.Write([]byte("N"))
	})
	for name, c := range map[string]struct {
		url  string
		want bool
	}{
		"closed port":          {"127.0.0.1:1/x", true},
		"closed connection":    {away + "/x?sslmode=disable", true},
		"closed before TLS":    {away + "/x?sslmode=require", true},
		"unknown name":         {"none.invalid/x", true},
		"no socket":            {"/x?host=" + t.TempDir(), true},
		"starting":             {listen(t, refuse("57P03")) + "/x?sslmode=disable", true},
		"too many connections": {listen(t, refuse("53300")) + "/x?sslmode=disable", true},
		"starting, no TLS":     {listen(t, refuse("57P03")) + "/x", true},
		"too many, no TLS":     {listen(t, refuse("53300")) + "/x?sslmode=prefer", true},
		"password, no TLS":     {listen(t, refuse("28P01")) + "/x", false},
		"all hosts away":       {"127.0.0.1:1," + away + "/x?sslmode=require", true},
		"wrong password":       {listen(t, refuse("28P01")) + "/x?sslmode=disable", false},
		"one password wrong":   {"127.0.0.1:1," + listen(t, refuse("28P01")) + "/x?sslmode=disable", false},
		"untrusted":            {untrusted + "/x?sslmode=verify-full", false},
		"untrusted authority":  {untrusted + "/x?sslmode=verify-ca&sslrootcert=" + foreignFile, false},
		"one host untrusted":   {"127.0.0.1:1," + untrusted + "/x?sslmode=verify-full", false},
		"other host":           {listen(t, acceptTLS(foreign)) + "/x?sslmode=verify-full&sslrootcert=" + foreignFile, false},
		"expired":              {listen(t, acceptTLS(expired)) + "/x?sslmode=verify-full&sslrootcert=" + expiredFile, false},
		"needs a certificate":  {listen(t, acceptTLS(mutual)) + "/x?sslmode=verify-full&sslrootcert=" + validFile, false},
		"old version of TLS":   {listen(t, acceptTLS(outdated)) + "/x?sslmode=require", false},
		"no TLS":               {noTLS + "/x?sslmode=require", false},
		"no database":          {listen(t, func(connection net.Conn) { _, _ = connection.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }) + "/x?sslmode=require&sslnegotiation=direct", false},
		"unknown role":         {"", false},
		"unsuited primary":     {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := "postgres://sara@" + c.url
			switch name {
			case "unknown role":
				dsn = dbtest.EmptyPostgres(t) + "&role=absent"
			case "unsuited primary":
				dsn = dbtest.EmptyPostgres(t) + "&target_session_attrs=standby"
			}
			_, err := db.Open(t.Context(), dsn)
			if got := db.IsOutage(err); err == nil || got != c.want {
				t.Errorf("%s: %v is an outage: %t, want %t", strings.TrimPrefix(dsn, "postgres://"), err, got, c.want)
			}
		})
	}
}
