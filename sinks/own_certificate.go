package sinks

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync/atomic"
	"time"

	"starling/engine"
)

// remindEvery is how often the log speaks of a certificate that ends soon.
const remindEvery = 24 * time.Hour

// ownCertificate is the certificate that a sink shows.
type ownCertificate struct {
	log      *slog.Logger
	op       string
	leaf     atomic.Pointer[x509.Certificate]
	reminded atomic.Int64 // Unix time
}

// expiredError says that the certificate cannot be shown any more.
type expiredError struct{ error }

// use makes pair, of that file, the certificate that is shown, by the function that it returns. Other
// than tls.Config.Certificates, that shows it also to servers that do not list its issuer.
func (o *ownCertificate) use(pair *tls.Certificate, file string) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	o.leaf.Store(pair.Leaf)
	o.reminded.Store(0)
	o.remind(pair.Leaf, file, time.Now())
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		now := time.Now()
		if err := checkDates(pair.Leaf, "certificate "+file, now); err != nil {
			return nil, &expiredError{err}
		}
		o.remind(pair.Leaf, file, now)
		return pair, nil
	}
}

func (o *ownCertificate) remind(leaf *x509.Certificate, file string, now time.Time) {
	before := o.reminded.Load()
	if leaf.NotAfter.Sub(now) > engine.CertificateWarning || now.Unix()-before < int64(remindEvery/time.Second) || !o.reminded.CompareAndSwap(before, now.Unix()) {
		return
	}
	o.log.Warn("a certificate expires soon; put a new one and its key in the place of the files, and it is used without a restart",
		"output", o.op, "file", file, "expires", leaf.NotAfter.UTC().Format(time.DateTime))
}

func (o *ownCertificate) expires() time.Time {
	if leaf := o.leaf.Load(); leaf != nil {
		return leaf.NotAfter
	}
	return time.Time{}
}
