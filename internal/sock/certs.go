package sock

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"net-watcher/internal/oserr"
)

// maxCertFile is how long a file with certificates or a key may be, in bytes: the
// authorities of a whole system are some 200 KiB.
const maxCertFile = 4 << 20

// CertFiles are the files of one end of TLS, by name, "" for none, as PEM: its certificate
// (and those from there to an authority), the key of that, and the authorities one of
// which must have signed the other end's certificate.
type CertFiles struct{ Cert, Key, CA string }

// load reads the files, of a certificate for this usage. It returns nil for those without
// a name. The error has the flag, the file, and what is wrong.
func (f CertFiles) load(usage x509.ExtKeyUsage) (pair *tls.Certificate, authorities *x509.CertPool, err error) {
	if f.Cert != "" {
		if pair, err = f.loadPair(usage); err != nil {
			return nil, nil, err
		}
	}
	if f.CA != "" {
		authorities, err = loadAuthorities(f.CA)
		if err != nil {
			return nil, nil, fmt.Errorf("-ca %q: %w", f.CA, err)
		}
	}
	return pair, authorities, nil
}

func (f CertFiles) loadPair(usage x509.ExtKeyUsage) (*tls.Certificate, error) {
	chain, err := readFile(f.Cert)
	if err == nil && !hasPEM(chain, isCertificate) {
		err = errors.New("no certificate in it (PEM)")
	}
	if err != nil {
		return nil, fmt.Errorf("-cert %q: %w", f.Cert, err)
	}
	key, err := readFile(f.Key)
	if err == nil {
		err = checkKey(key)
	}
	if err != nil {
		return nil, fmt.Errorf("-key %q: %w", f.Key, err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("-cert %q with -key %q: %w", f.Cert, f.Key, err)
	}
	if err := checkLeaf(pair.Leaf, usage); err != nil {
		return nil, fmt.Errorf("-cert %q: %w", f.Cert, err)
	}
	return &pair, nil
}

// checkKey returns an error if there is no usable key in the bytes.
func checkKey(b []byte) error {
	isKey := func(p *pem.Block) bool { return bytes.HasSuffix([]byte(p.Type), []byte("PRIVATE KEY")) }
	isEncrypted := func(p *pem.Block) bool {
		return p.Type == "ENCRYPTED PRIVATE KEY" || isKey(p) && p.Headers["DEK-Info"] != ""
	}
	switch {
	case hasPEM(b, isEncrypted):
		return errors.New("the key has a password, and nobody is there to type it (openssl pkey -in FILE -out NEW takes it off)")
	case !hasPEM(b, isKey):
		return errors.New("no private key in it (PEM)")
	}
	return nil
}

// checkLeaf returns an error if the other end would refuse the certificate in this usage.
func checkLeaf(leaf *x509.Certificate, usage x509.ExtKeyUsage) error {
	if err := checkTime(leaf); err != nil {
		return err
	}
	named := len(leaf.ExtKeyUsage) > 0 || len(leaf.UnknownExtKeyUsage) > 0
	isFor := func(u x509.ExtKeyUsage) bool { return slices.Contains(leaf.ExtKeyUsage, u) }
	usable := !named || isFor(usage) || isFor(x509.ExtKeyUsageAny)
	switch {
	case usage == x509.ExtKeyUsageClientAuth && !usable:
		return errors.New("the certificate is not for clients (its extendedKeyUsage lacks clientAuth)")
	case usage == x509.ExtKeyUsageClientAuth:
	case !usable:
		return errors.New("the certificate is not for servers (its extendedKeyUsage lacks serverAuth)")
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return errors.New("the certificate is for no host (it has no subjectAltName with a DNS name or an IP address)")
	}
	return nil
}

// checkTime returns an error if the certificate is not valid now.
func checkTime(c *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate expired at %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// loadAuthorities reads a file of certificates. At least one of them must be valid now.
func loadAuthorities(name string) (*x509.CertPool, error) {
	b, err := readFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	valid := false
	var why error
	for p, rest := pem.Decode(b); p != nil; p, rest = pem.Decode(rest) {
		if !isCertificate(p) {
			continue
		}
		c, err := x509.ParseCertificate(p.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(c)
		err = checkTime(c)
		valid = valid || err == nil
		why = cmp.Or(why, err)
	}
	switch {
	case valid:
		return pool, nil
	case why != nil:
		return nil, why
	}
	return nil, errors.New("no certificate in it (PEM)")
}

func isCertificate(p *pem.Block) bool { return p.Type == "CERTIFICATE" }

// hasPEM reports whether one of the PEM blocks in b is as is says.
func hasPEM(b []byte, is func(*pem.Block) bool) bool {
	for p, rest := pem.Decode(b); p != nil; p, rest = pem.Decode(rest) {
		if is(p) {
			return true
		}
	}
	return false
}

// readFile reads a file of at most maxCertFile bytes. A named pipe to which nobody writes
// is empty.
func readFile(name string) ([]byte, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, oserr.Cause(err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxCertFile+1))
	if err == nil && len(b) > maxCertFile {
		err = fmt.Errorf("more than %d MiB", maxCertFile>>20)
	}
	return b, oserr.Cause(err)
}

// stamp is by what a file that was read differs from what is there now.
type stamp struct {
	info fs.FileInfo // nil if there is none
	err  string
}

// stamps returns those of all files.
func (f CertFiles) stamps() (all [3]stamp) {
	for i, name := range []string{f.Cert, f.Key, f.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			all[i].err = err.Error()
			continue
		}
		all[i].info = info
	}
	return all
}

func (s stamp) equal(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil && s.err == t.err
	}
	return os.SameFile(s.info, t.info) && s.info.ModTime().Equal(t.info.ModTime()) && s.info.Size() == t.info.Size()
}
