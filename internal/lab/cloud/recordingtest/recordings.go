// Package recordingtest reads HTTP exchanges that were recorded against the real
// Google APIs, and holds a handler's answers against them field by field. It is
// for tests alone and must import nothing of the lab.
//
// The recordings are not part of the repository: they are looked for in
// $SLIPWAY_SHARED/gcp-recordings, or beside the repository in
// ../shared/gcp-recordings. The tests that read them have the build tag
// recordings, which whoever runs the tests sets where the recordings are: without
// it they aren't compiled, and with it one that finds none fails.
package recordingtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Exchange is one request with the answer that the real API gave. Ids, times and
// etags in it are placeholders (${projectId}, abcdef0123A=, …).
type Exchange struct {
	Number  int // in the file, from 1
	Method  string
	URL     string
	Request []byte
	Status  int
	Header  http.Header
	Answer  []byte
}

// Load reads a recording; missing says what is not proven when there is none.
func Load(t *testing.T, name, missing string) []Exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(locate(t), name))
	if err != nil {
		t.Fatalf("not proven: %s: %v (SLIPWAY_SHARED names the folder that holds gcp-recordings)", missing, err)
	}
	var list []Exchange
	for i, part := range bytes.Split(raw, []byte("\n---\n")) {
		e, err := parse(part)
		if err != nil {
			t.Fatalf("%s, exchange %d: %v", name, i+1, err)
		}
		e.Number = i + 1
		list = append(list, e)
	}
	return list
}

// locate names the folder of recordings.
func locate(t *testing.T) string {
	t.Helper()
	if shared := os.Getenv("SLIPWAY_SHARED"); shared != "" {
		return filepath.Join(shared, "gcp-recordings")
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, "..", "shared", "gcp-recordings")
		}
		above := filepath.Dir(root)
		if above == root {
			t.Fatal("no go.mod above the test's directory")
		}
		root = above
	}
}

// parse reads: request line, headers, blank, body, blank, status line, headers,
// blank, body. A body is JSON or absent.
func parse(raw []byte) (Exchange, error) {
	r := bufio.NewReader(bytes.NewReader(bytes.TrimLeft(raw, "\n")))
	var e Exchange
	line, _ := r.ReadString('\n')
	var ok bool
	if e.Method, e.URL, ok = strings.Cut(strings.TrimSpace(line), " "); !ok {
		return e, fmt.Errorf("no request line: %q", line)
	}
	if _, err := headers(r); err != nil {
		return e, err
	}
	var status string
	var err error
	if e.Request, status, err = body(r); err != nil {
		return e, err
	}
	code, _, _ := strings.Cut(status, " ")
	if e.Status, err = strconv.Atoi(code); err != nil {
		return e, fmt.Errorf("no status line: %q", status)
	}
	if e.Header, err = headers(r); err != nil {
		return e, err
	}
	e.Answer, _, err = body(r)
	return e, err
}

func headers(r *bufio.Reader) (http.Header, error) {
	h := http.Header{}
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimSpace(line)
		if line == "" {
			return h, nil
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return nil, fmt.Errorf("no header: %q", line)
		}
		h.Add(name, value)
		if err != nil {
			return h, nil
		}
	}
}

// body reads a JSON document, if there is one, and the line that follows.
func body(r *bufio.Reader) (doc []byte, next string, err error) {
	for {
		line, err := r.ReadString('\n')
		text := strings.TrimSpace(line)
		if text == "" && err == nil {
			continue
		}
		if text == "" {
			return doc, "", nil
		}
		if !strings.HasPrefix(text, "{") || doc != nil {
			return doc, text, nil
		}
		var b bytes.Buffer
		b.WriteString(line)
		for !json.Valid(b.Bytes()) {
			line, err := r.ReadString('\n')
			b.WriteString(line)
			if err != nil && !json.Valid(b.Bytes()) {
				return nil, "", fmt.Errorf("a JSON document does not end: %q", b.String())
			}
		}
		doc = b.Bytes()
	}
}
