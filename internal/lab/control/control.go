// Package control is how the lab's daemon is spoken to: one request per connection on a Unix socket, JSON lines both ways. The request is a line
// {"verb": …, "body": {…}}; the answer is any number of {"progress": {…}} lines and then one {"result": {…}} or {"error": "…"}.
// When the caller hangs up, the request's context ends. It imports progress alone of the lab, and knows no verb.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// ErrNoDaemon means that nobody listens: the lab is not up.
var ErrNoDaemon = errors.New("the lab is not up")

// Verb names one kind of request and fixes the types of its body and its result.
type Verb[Req, Res any] string

type request struct {
	Verb string          `json:"verb"`
	Body json.RawMessage `json:"body"`
}

type line struct {
	Progress *progress.Report `json:"progress,omitempty"`
	Result   json.RawMessage  `json:"result,omitempty"`
	Error    *string          `json:"error,omitempty"`
}

// Call sends a request and waits for its result.
func Call[Req, Res any](ctx context.Context, socket string, verb Verb[Req, Res], req Req, report progress.Func) (Res, error) {
	var res Res
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return res, ErrNoDaemon
	}
	if err != nil {
		return res, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	body, err := json.Marshal(req)
	if err != nil {
		return res, err
	}
	if err := json.NewEncoder(conn).Encode(request{Verb: string(verb), Body: body}); err != nil {
		return res, fmt.Errorf("ask the lab's daemon: %w", err)
	}
	dec := json.NewDecoder(bufio.NewReader(conn))
	for {
		var l line
		if err := dec.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			return res, fmt.Errorf("the lab's daemon hung up before it answered (its log is beside %s): %w", socket, err)
		}
		switch {
		case l.Progress != nil:
			report(*l.Progress)
		case l.Error != nil:
			return res, errors.New(*l.Error)
		default:
			return res, json.Unmarshal(l.Result, &res)
		}
	}
}

// Server answers requests. The zero value answers none.
type Server struct {
	handlers map[string]handler
}

type handler func(context.Context, json.RawMessage, progress.Func) (any, error)

// Handle makes f answer the verb. All verbs are set before Serve.
func Handle[Req, Res any](s *Server, verb Verb[Req, Res], f func(context.Context, Req, progress.Func) (Res, error)) {
	if s.handlers == nil {
		s.handlers = map[string]handler{}
	}
	s.handlers[string(verb)] = func(ctx context.Context, body json.RawMessage, report progress.Func) (any, error) {
		var req Req
		if err := json.Unmarshal(body, &req); err != nil {
			return nil, fmt.Errorf("%s: %w", verb, err)
		}
		return f(ctx, req, report)
	}
}

// Listen makes the socket, for root alone. A socket left by a killed daemon is replaced: the caller holds the lab's lock.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Serve answers until ctx ends, and returns when all handlers have.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() { s.answer(ctx, conn) })
	}
}

func (s *Server) answer(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	in := bufio.NewReader(conn)
	var req request
	if err := json.NewDecoder(in).Decode(&req); err != nil {
		return // whoever it was is gone
	}
	// The caller sends nothing more: the end of its stream is its hanging up.
	go func() {
		_, _ = in.ReadByte()
		for {
			if _, err := in.ReadByte(); err != nil {
				cancel()
				return
			}
		}
	}()
	var mu sync.Mutex
	ended := false
	enc := json.NewEncoder(conn)
	send := func(l line, last bool) {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			ended = last
			_ = enc.Encode(l) // the caller may have hung up, which the reader above sees
		}
	}
	result, err := s.handle(ctx, req, func(r progress.Report) { send(line{Progress: &r}, false) })
	var raw []byte
	if err == nil {
		raw, err = json.Marshal(result)
	}
	if err != nil {
		text := err.Error()
		send(line{Error: &text}, true)
		return
	}
	send(line{Result: raw}, true)
}

func (s *Server) handle(ctx context.Context, req request, report progress.Func) (any, error) {
	h := s.handlers[req.Verb]
	if h == nil {
		return nil, fmt.Errorf("the lab's daemon doesn't know %q: it is of another version than this program, take the lab down and up again", req.Verb)
	}
	return h(ctx, req.Body, report)
}
