//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"time"
)

// secure is what TLS needs at every end: one certificate, which each trusts.
type secure struct {
	flags  []string // of net-watcher
	config *tls.Config
}

// newSecure makes a certificate, in files whose names begin with path.
func newSecure(path string) (*secure, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, certErr := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	secret, keyErr := x509.MarshalPKCS8PrivateKey(private)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	pair, err := tls.X509KeyPair(cert, key)
	s := &secure{
		flags:  []string{"-cert", path + ".crt", "-key", path + ".key", "-ca", path + ".crt"},
		config: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"},
	}
	s.config.RootCAs.AppendCertsFromPEM(cert)
	return s, errors.Join(certErr, keyErr, err, os.WriteFile(path+".crt", cert, 0o644), os.WriteFile(path+".key", key, 0o644))
}
