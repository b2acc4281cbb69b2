package sock

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"net-watcher/internal/check"
)

// Whatever is missing, unreadable, expired or contradictory is an error that names the
// flag and the file.
func TestBadCertificates(t *testing.T) {
	a := check.NewAuthority(t, "ca")
	cert, key := a.Issue("good", nil)
	_, otherKey := a.Issue("other", nil)
	old, oldKey := a.Issue("old", func(c *x509.Certificate) { c.NotAfter = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC) })
	early, earlyKey := a.Issue("early", func(c *x509.Certificate) {
		c.NotBefore = time.Date(2120, 1, 2, 3, 4, 5, 0, time.UTC)
		c.NotAfter = c.NotBefore.Add(time.Hour)
	})
	nameless, namelessKey := a.Issue("nameless", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })
	forClients, forClientsKey := a.Issue("client", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] })
	forServers, forServersKey := a.Issue("server", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })
	forAll, forAllKey := a.Issue("all", func(c *x509.Certificate) { c.ExtKeyUsage = nil })

	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		check.Must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	empty := write("empty", "")
	text := write("text", "no PEM\n")
	broken := write("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	password := write("password", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	oldPassword := write("old-password", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n")
	large := write("large", strings.Repeat("x", maxCertFile+1))
	missing := filepath.Join(dir, "missing")

	const server, client = x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for _, test := range []struct {
		files CertFiles
		usage x509.ExtKeyUsage
		want  string // after the file's name; "" for none
	}{
		{CertFiles{cert, key, a.CA}, server, ""},
		{CertFiles{cert, key, a.CA}, client, ""},
		{CertFiles{"", "", a.CA}, client, ""},
		{CertFiles{"", "", ""}, client, ""},
		{CertFiles{forAll, forAllKey, ""}, server, ""},
		{CertFiles{forAll, forAllKey, ""}, client, ""},
		{CertFiles{forClients, forClientsKey, ""}, client, ""},
		{CertFiles{nameless, namelessKey, ""}, client, ""},

		{CertFiles{missing, key, ""}, server, `-cert "missing": no such file or directory`},
		{CertFiles{cert, missing, ""}, server, `-key "missing": no such file or directory`},
		{CertFiles{cert, key, missing}, server, `-ca "missing": no such file or directory`},
		{CertFiles{dir, key, ""}, server, `-cert "": is a directory`},
		{CertFiles{large, key, ""}, server, `-cert "large": more than 4 MiB`},
		{CertFiles{empty, key, ""}, server, `-cert "empty": no certificate in it (PEM)`},
		{CertFiles{text, key, ""}, server, `-cert "text": no certificate in it (PEM)`},
		{CertFiles{key, cert, ""}, server, `-cert "good.key": no certificate in it (PEM)`},
		{CertFiles{cert, cert, ""}, server, `-key "good.crt": no private key in it (PEM)`},
		{CertFiles{cert, password, ""}, server, `-key "password": the key has a password, and nobody is there to type it (openssl pkey -in FILE -out NEW takes it off)`},
		{CertFiles{cert, oldPassword, ""}, server, `-key "old-password": the key has a password, and nobody is there to type it (openssl pkey -in FILE -out NEW takes it off)`},
		{CertFiles{cert, otherKey, ""}, server, `-cert "good.crt" with -key "other.key": tls: private key does not match public key`},
		{CertFiles{old, oldKey, ""}, server, `-cert "old.crt": the certificate expired at 2020-01-02T03:04:05Z`},
		{CertFiles{early, earlyKey, ""}, server, `-cert "early.crt": the certificate is not valid before 2120-01-02T03:04:05Z`},
		{CertFiles{nameless, namelessKey, ""}, server, `-cert "nameless.crt": the certificate is for no host (it has no subjectAltName with a DNS name or an IP address)`},
		{CertFiles{forClients, forClientsKey, ""}, server, `-cert "client.crt": the certificate is not for servers (its extendedKeyUsage lacks serverAuth)`},
		{CertFiles{forServers, forServersKey, ""}, client, `-cert "server.crt": the certificate is not for clients (its extendedKeyUsage lacks clientAuth)`},
		{CertFiles{cert, key, key}, server, `-ca "good.key": no certificate in it (PEM)`},
		{CertFiles{cert, key, empty}, server, `-ca "empty": no certificate in it (PEM)`},
		{CertFiles{cert, key, old}, server, `-ca "old.crt": the certificate expired at 2020-01-02T03:04:05Z`},
		{CertFiles{cert, key, broken}, server, `-ca "broken": x509: malformed certificate`},
	} {
		_, _, err := test.files.load(test.usage)
		got := strings.NewReplacer(filepath.Dir(cert)+string(filepath.Separator), "", dir+string(filepath.Separator), "", dir, "").
			Replace(strings.ReplaceAll(check.Message(err), `\\`, `\`)) // the paths of Windows in quotes
		if got != test.want && !(strings.HasSuffix(test.want, "directory") && err != nil) { // in the system's words
			t.Errorf("%+v:\n got %q\nwant %q", test.files, got, test.want)
		}
	}
}
