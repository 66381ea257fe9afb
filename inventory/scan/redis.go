package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
)

// redisLimit is how long a server may take for its INFO, in all.
const redisLimit = 5 * time.Second

// maxInfo bounds an INFO's length, in bytes; a real one has some 6 KB.
const maxInfo = 1 << 20

// askRedis asks one server for INFO, which changes nothing, over a connection from its own host. What can't be had is said
// in the result: a server that wants another password is a fact too.
func askRedis(ctx context.Context, dial dialer, r Redis, password secret.String) Redis {
	ctx, cancel := context.WithTimeout(ctx, redisLimit)
	defer cancel()
	info, err := redisInfo(ctx, dial, net.JoinHostPort(r.address.String(), strconv.Itoa(int(r.Port))), password)
	if err != nil {
		r.Unread = secret.Redact(err, password).Error()
		return r
	}
	if err := parseInfo(info, &r); err != nil {
		r.Unread = err.Error()
	}
	return r
}

func redisInfo(ctx context.Context, dial dialer, address string, password secret.String) (string, error) {
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return "", fmt.Errorf("redis at %s: %w", address, err)
		}
	}
	in := bufio.NewReader(c)
	if !password.IsZero() {
		// A server without a password refuses AUTH; INFO then tells whether it was needed.
		if _, err := io.WriteString(c, command("AUTH", password.Reveal())); err != nil {
			return "", fmt.Errorf("redis at %s: %w", address, err)
		}
		if _, err := reply(in); err != nil && !errors.As(err, new(redisError)) {
			return "", fmt.Errorf("redis at %s: %w", address, err)
		}
	}
	if _, err := io.WriteString(c, command("INFO")); err != nil {
		return "", fmt.Errorf("redis at %s: %w", address, err)
	}
	info, err := reply(in)
	var said redisError
	if errors.As(err, &said) && strings.HasPrefix(string(said), "NOAUTH") {
		if password.IsZero() {
			return "", fmt.Errorf("redis at %s wants a password; give source.redis.password", address)
		}
		return "", fmt.Errorf("redis at %s does not take source.redis.password", address)
	}
	if err != nil {
		return "", fmt.Errorf("redis at %s: %w", address, err)
	}
	return info, nil
}

// command is an array of bulk strings in RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/.
func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// redisError is an error that the server answered.
type redisError string

func (e redisError) Error() string { return remote.Printable(string(e), 200) }

// reply reads a simple string, a bulk string or an error; INFO and AUTH answer with nothing else.
func reply(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("read its answer: %w", err)
	}
	text := strings.TrimRight(string(line), "\r\n")
	if text == "" {
		return "", errors.New("it does not speak Redis's protocol")
	}
	switch text[0] {
	case '+':
		return text[1:], nil
	case '-':
		return "", redisError(text[1:])
	case '$':
		n, err := strconv.Atoi(text[1:])
		if err != nil || n < 0 || n > maxInfo {
			return "", errors.New("it does not speak Redis's protocol")
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return "", fmt.Errorf("read its answer: %w", err)
		}
		return string(b[:n]), nil
	}
	return "", errors.New("it does not speak Redis's protocol")
}

// parseInfo reads INFO's lines: "key:value".
func parseInfo(text string, r *Redis) error {
	host, port := "", ""
	for line := range rows(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "redis_version":
			r.Version = value
		case "role":
			r.Role = value
		case "master_host":
			host = value
		case "master_port":
			port = value
		case "master_link_status":
			r.LinkUp = value == "up"
		case "connected_slaves":
			n, err := strconv.Atoi(value)
			if err != nil {
				return odd(line)
			}
			r.Replicas = n
		case "used_memory":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return odd(line)
			}
			r.Memory = n
		default:
			// db0:keys=12,expires=3,avg_ttl=0
			if rest, ok := strings.CutPrefix(value, "keys="); ok && strings.HasPrefix(key, "db") {
				n, err := strconv.ParseInt(rest[:max(strings.IndexByte(rest, ','), 0)], 10, 64)
				if err != nil {
					return odd(line)
				}
				r.Keys += n
			}
		}
	}
	if r.Version == "" || (r.Role != "master" && r.Role != "slave") {
		return errors.New("its INFO has no version or no role")
	}
	if host != "" {
		r.Primary = net.JoinHostPort(host, port)
	}
	return nil
}
