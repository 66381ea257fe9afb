package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// client is an HTTP client that reaches the shop at its edge under its public name, whatever DNS says, and trusts the lab's authority alone.
func (f *Fleet) client(s Secrets) (*http.Client, error) {
	ca, err := s.Authority()
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return f.env.Network.DialContext(ctx, network, net.JoinHostPort(EdgeAddress.String(), port))
		},
		DisableKeepAlives: true,
	}}, nil
}

// waitServing waits until the shop answers with a page and an image of the Gluster volume, through all its layers, and until its queue has
// started: that takes longer than the page, and who looks at the source's services must find them as they are when nothing is wrong.
func (f *Fleet) waitServing(ctx context.Context, report progress.Func) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	client, err := f.client(f.secrets)
	if err != nil {
		return err
	}
	var image string
	checks := []func(context.Context) error{
		func(ctx context.Context) error { return get(ctx, client, "/") },
		func(ctx context.Context) (err error) {
			if image == "" {
				image, err = f.image(ctx)
			}
			return err
		},
		func(ctx context.Context) error { return get(ctx, client, "/assets/"+image) },
		f.queueRuns,
	}
	passed := 0
	return progress.Wait(ctx, report, "the shop serves", int64(len(checks)), 100*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		for passed < len(checks) {
			for _, h := range Hosts() {
				if f.env.Launcher.Machine(h.Name) == nil {
					return 0, "", fmt.Errorf("host %s ended (its console: %s/console.log)", h.Name, f.env.Launcher.Dir(h.Name))
				}
			}
			if err := checks[passed](ctx); err != nil {
				return int64(passed), err.Error(), nil // not yet: the deadline reports the last of these
			}
			passed++
		}
		return int64(passed), "", nil
	})
}

// queueRuns fails while the queue's service isn't active: starting is not yet.
func (f *Fleet) queueRuns(ctx context.Context) error {
	m := f.env.Launcher.Machine(QueueHost)
	if m == nil {
		return fmt.Errorf("%s isn't up", QueueHost)
	}
	out, err := m.Output(ctx, "systemctl", "show", "--property=ActiveState", "--value", "rabbitmq-server.service")
	if err != nil {
		return err
	}
	if state := strings.TrimSpace(string(out)); state != "active" {
		return fmt.Errorf("%s: rabbitmq-server is %s", QueueHost, state)
	}
	return nil
}

// Image is the path in the volume of product 1's picture, of which there is always one.
func (f *Fleet) Image(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image(ctx)
}

func (f *Fleet) image(ctx context.Context) (string, error) {
	db, err := f.open(f.secrets, "db1", "shop")
	if err != nil {
		return "", err
	}
	defer db.Close()
	var path string
	err = db.QueryRowContext(ctx, "SELECT image_path FROM products WHERE id = 1").Scan(&path)
	return path, err
}

func get(ctx context.Context, client *http.Client, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+SiteName+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	return nil
}
