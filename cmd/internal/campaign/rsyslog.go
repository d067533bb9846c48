package campaign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"starling/cmd/internal/sim"
)

// rsyslogConf makes rsyslog write each message before it reads on: no queue in between, and no writer of its own. So when it ends
// a connection, or answers, everything of it is in the file; what a queue holds, a SIGKILL of rsyslog loses, and nobody outside can
// know.
const rsyslogConf = `
global(workDirectory="DIR" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
       defaultNetstreamDriverCAFile="DIR/chain.crt"
       defaultNetstreamDriverCertFile="DIR/server.crt" defaultNetstreamDriverKeyFile="DIR/server.key")
main_queue(queue.type="Direct")
INPUT
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="FILE" template="raw" queue.type="Direct" asyncWriting="off" flushOnTXEnd="on")
`

const (
	inputSyslog = `module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="HOST" port="PORT")`
	inputRelp = `module(load="imrelp" tls.tlslib="openssl")
input(type="imrelp" address="HOST" port="PORT" maxDataSize="256k" tls="on" tls.authMode="certvalid"
      tls.caCert="DIR/chain.crt" tls.myCert="DIR/server.crt" tls.myPrivKey="DIR/server.key")`
)

// newRsyslog is a receiver that others wrote, with one of these inputs.
func newRsyslog(input string) func(*round, *sim.World) (receiver, error) {
	return func(r *round, w *sim.World) (receiver, error) {
		program, err := findRsyslog()
		if err != nil {
			return nil, err
		}
		d := &outside{dir: filepath.Join(r.dir, "receiver")}
		if err := d.prepare(w); err != nil {
			return nil, err
		}
		host, port, _ := strings.Cut(d.address, ":")
		d.command = func(file string) *exec.Cmd {
			conf := filepath.Join(d.dir, "rsyslog.conf")
			text := strings.Replace(rsyslogConf, "INPUT", input, 1)
			text = strings.NewReplacer("DIR", d.dir, "FILE", file, "HOST", host, "PORT", port).Replace(text)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				return &exec.Cmd{Err: err}
			}
			return exec.Command(program, "-n", "-f", conf, "-i", filepath.Join(d.dir, "pid"))
		}
		return d, nil
	}
}

func findRsyslog() (string, error) {
	for _, name := range []string{"rsyslogd", "/usr/sbin/rsyslogd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no rsyslogd; install the packages rsyslog, rsyslog-openssl and rsyslog-relp", ErrSkipped)
}
