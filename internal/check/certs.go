package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates, in a directory of its own.
type Authority struct {
	tb   testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	CA string // the file with its own certificate
}

// NewAuthority returns a new authority with this name.
func NewAuthority(tb testing.TB, name string) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, dir: tb.TempDir()}
	a.cert = &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a.CA, _, a.key = a.sign(name, a.cert, nil)
	return a
}

// Issue returns the files of a new certificate for localhost and both loopback addresses,
// for servers and clients, and of its key. change may change it before it is signed.
func (a *Authority) Issue(name string, change func(*x509.Certificate)) (cert, key string) {
	a.tb.Helper()
	c := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(c)
	}
	cert, key, _ = a.sign(name, c, a.key)
	return cert, key
}

// sign writes c, signed with the key by, or by itself, and its new key to files.
func (a *Authority) sign(name string, c *x509.Certificate, by *ecdsa.PrivateKey) (cert, key string, private *ecdsa.PrivateKey) {
	a.tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must(a.tb, err)
	if by == nil {
		by = private
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &private.PublicKey, by)
	Must(a.tb, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	Must(a.tb, err)
	cert, key = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	Must(a.tb, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o666))
	Must(a.tb, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key, private
}
