//go:build ops

package ops

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startProxy starts a reverse proxy in front of two servers, by their addresses, with
// its configuration of deploy. It returns an HTTP client that reaches the proxy as
// https://example.org and http://example.org.
type startProxy func(t *testing.T, servers [2]string) *http.Client

var proxies = map[string]startProxy{"nginx": startNginx, "caddy": startCaddy}

// proxyClient is the address of clients that the proxy sees.
const proxyClient = "127.0.0.2"

func startNginx(t *testing.T, servers [2]string) *http.Client {
	t.Helper()
	path := requireProgram(t, "nginx", "nginx")
	directory, _ := owned(t)
	if err := os.Chmod(directory, 0o755); err != nil { // nginx changes its account
		t.Fatal(err)
	}
	plain, secure := freePort(t), freePort(t)
	site := configure(t, directory, "nginx.conf",
		"listen 80;", "listen "+address(plain)+";",
		"listen 443 ", "listen "+address(secure)+" ",
		"/etc/ssl/certs/example.org.pem", "site.pem",
		"/etc/ssl/private/example.org.key", "site.key",
		"/var/cache/nginx", directory,
		"127.0.0.1:8001", servers[0],
		"127.0.0.1:8002", servers[1])
	main := filepath.Join(directory, "main.conf")
	writeFile(t, main, []byte(strings.NewReplacer("DIR", directory, "SITE", site).Replace(`
		pid DIR/pid;
		error_log stderr;
		events {}
		http {
			include /etc/nginx/mime.types;
			access_log off;
			client_body_temp_path DIR/body;
			proxy_temp_path DIR/proxy;
			include SITE;
		}`)))
	roots := newCertificate(t, directory)
	start(t, newCommand(t, filepath.Join(directory, "nginx.log"), path, "-c", main, "-e", "stderr", "-g", "daemon off;"))
	return connect(t, roots, plain, secure)
}

func startCaddy(t *testing.T, servers [2]string) *http.Client {
	t.Helper()
	path := requireProgram(t, "caddy", "caddy")
	directory := t.TempDir()
	plain, secure := freePort(t), freePort(t)
	ports := "http_port " + strconv.Itoa(plain) + "\nhttps_port " + strconv.Itoa(secure)
	site := configure(t, directory, "Caddyfile",
		"example.org {", "{\nadmin off\ndefault_bind 127.0.0.1\n"+ports+"\n}\nexample.org {\ntls site.pem site.key\n",
		"127.0.0.1:8001", servers[0],
		"127.0.0.1:8002", servers[1])
	roots := newCertificate(t, directory)
	command := newCommand(t, filepath.Join(directory, "caddy.log"), path, "run", "--config", site, "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+directory)
	start(t, command)
	return connect(t, roots, plain, secure)
}

// configure writes a file of deploy to a directory, with what a test must change:
// pairs of texts, the first of which the file must contain.
func configure(t *testing.T, directory, name string, changes ...string) (file string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		if !bytes.Contains(content, []byte(changes[i])) {
			t.Fatalf("deploy/%s does not contain %q", name, changes[i])
		}
	}
	file = filepath.Join(directory, name)
	writeFile(t, file, []byte(strings.NewReplacer(changes...).Replace(string(content))))
	return file
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// newCertificate writes a certificate for example.org that signs itself, and its key.
func newCertificate(t *testing.T, directory string) (roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.org"}, DNSNames: []string{"example.org"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	writeFile(t, filepath.Join(directory, "site.pem"), content)
	writeFile(t, filepath.Join(directory, "site.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(content)
	return roots
}

// connect waits until the proxy serves, and returns its client.
func connect(t *testing.T, roots *x509.CertPool, plain, secure int) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(proxyClient)}}
	proxy := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, host string) (net.Conn, error) {
				port := secure
				if strings.HasSuffix(host, ":80") {
					port = plain
				}
				return dialer.DialContext(ctx, network, address(port))
			},
		},
	}
	c := &client{"https://example.org", "", proxy}
	waitFor(t, "proxy", func() bool {
		status, _, err := c.send(http.MethodGet, "/readyz", "", nil, slowest)
		return err == nil && status == http.StatusOK
	})
	return proxy
}
