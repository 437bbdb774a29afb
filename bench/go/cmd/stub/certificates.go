package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// writeCertificates makes a CA, a server certificate for loopback and a client certificate, and
// writes ca.crt, client.crt and client.key into dir.
func writeCertificates(dir string) (tls.Certificate, *x509.CertPool, error) {
	none := tls.Certificate{}
	caKey, ca, caDER, err := authority()
	if err != nil {
		return none, nil, err
	}
	server, serverKey, err := issued(ca, caKey, "stub", x509.ExtKeyUsageServerAuth, 2)
	if err != nil {
		return none, nil, err
	}
	client, clientKey, err := issued(ca, caKey, "bench", x509.ExtKeyUsageClientAuth, 3)
	if err != nil {
		return none, nil, err
	}
	files := map[string][]byte{
		"ca.crt":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		"client.crt": client,
		"client.key": clientKey,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return none, nil, err
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	pair, err := tls.X509KeyPair(server, serverKey)
	return pair, pool, err
}

func authority() (*ecdsa.PrivateKey, *x509.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench-ca"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return key, certificate, der, err
}

func issued(
	ca *x509.Certificate, caKey *ecdsa.PrivateKey, name string, use x509.ExtKeyUsage, serial int64,
) (certificate, private []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	private, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

// writeKubeconfig writes dir/kubeconfig, which names the files written above.
func writeKubeconfig(dir, server string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: stub
clusters: [{name: stub, cluster: {server: %q, certificate-authority: ca.crt}}]
users: [{name: bench, user: {client-certificate: client.crt, client-key: client.key}}]
contexts: [{name: stub, context: {cluster: stub, user: bench}}]
`, server)
	return os.WriteFile(filepath.Join(dir, "kubeconfig"), []byte(text), 0o600)
}
