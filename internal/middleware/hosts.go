package middleware

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Host is the name or the address of a server, without a port, in lower case.
type Host string

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Host) UnmarshalText(text []byte) error {
	*h = Host(hostname(string(text)))
	if address, err := netip.ParseAddr(string(text)); err == nil && address.Zone() == "" {
		return nil
	}
	if !validHost(string(text)) || strings.ContainsAny(string(text), ":[") {
		return fmt.Errorf("%q is neither a name nor an address, without a port", text)
	}
	return nil
}

// CheckHost rejects requests unless the host that they name is a loopback name, the address at
// which they arrive, or one of hosts. A foreign site can make its name resolve to this server (DNS
// rebinding), but then browsers send the name of the site.
func CheckHost(hosts []Host, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostname(r.Host)
		if name != "" && !isLoopback(name) && !isLocalAddress(r, name) && !slices.Contains(hosts, Host(name)) {
			http.Error(w, "The host is not in ADMIN_HOSTS.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns a host without its port, brackets and final dot, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return address.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func isLoopback(name string) bool {
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}

// isLocalAddress reports whether name is the address at which a request arrives.
func isLocalAddress(r *http.Request, name string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && hostname(local.String()) == name
}
