// Package smoke visits the target as a customer would, before any name points at it. It must not import another step package.
package smoke

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/secret"
)

// Check is one visit, and what must come of it. {name} in Path, Form, Contains, Row and Asset stands for what an earlier check captured;
// {{ and }} stand for the braces themselves.
type Check struct {
	Name     string
	Method   string // "" is GET
	Path     string // "/product/1"
	Form     []Field
	Status   int       // 0 is 200
	Location string    // what the Location header must begin with, for redirects
	Contains []string  // texts that the page must have
	Capture  []Capture // for later checks
	Row      *Row      // the page must show this row of the target's database
	Asset    string    // the body must be this file of the snapshot, by SHA-256; its path in the tree
}

// Field is one field of a form.
type Field struct {
	Name  string
	Value string
	From  secret.Ref // instead of Value: a password
}

// Capture keeps a part of an answer under a name.
type Capture struct {
	Name    string
	Header  string // of this header; "": of the body
	Pattern string // a regular expression with one group (RE2); HTML entities in what it finds are decoded
}

// Row is a question to the target's database. Every column of the first row of its answer must be in the page.
type Row struct {
	Query string
	Args  []string
}

func (c Check) method() string {
	if c.Method == "" {
		return "GET"
	}
	return c.Method
}

func (c Check) status() int {
	if c.Status == 0 {
		return 200
	}
	return c.Status
}

// writes: the check changes something at the target.
func (c Check) writes() bool { return c.method() != "GET" && c.method() != "HEAD" }

var variable = regexp.MustCompile(`\{\{|\}\}|\{([a-z][a-z0-9_]*)\}|[{}]`)

// expand puts captured values in the places of their names.
func expand(text string, vars map[string]string) (string, error) {
	var bad error
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		switch {
		case m == "{{":
			return "{"
		case m == "}}":
			return "}"
		case len(m) == 1:
			bad = fmt.Errorf("%q: a brace that stands for nothing; write {{ or }}", text)
			return m
		}
		v, ok := vars[m[1:len(m)-1]]
		if !ok {
			bad = fmt.Errorf("%q: nothing captured %s", text, m)
		}
		return v
	})
	return out, bad
}

// Validate reports all that is wrong with a list of checks at once.
func Validate(checks []Check) error {
	var all *multierror.Error
	known := map[string]string{}
	var names []string
	for i, c := range checks {
		bad := func(format string, a ...any) {
			all = multierror.Append(all, fmt.Errorf("check %d (%s): %w", i+1, c.Name, fmt.Errorf(format, a...)))
		}
		if c.Name == "" || slices.Contains(names, c.Name) {
			bad("its name is missing or used twice")
		}
		names = append(names, c.Name)
		texts := append([]string{c.Path, c.Asset, c.Location}, c.Contains...)
		for _, f := range c.Form {
			texts = append(texts, f.Value)
			if f.Value != "" && !f.From.IsZero() {
				bad("field %s has a value and a reference", f.Name)
			}
		}
		if c.Row != nil {
			texts = append(texts, c.Row.Args...)
		}
		for _, t := range texts {
			if _, err := expand(t, known); err != nil {
				bad("%w", err)
			}
		}
		if !strings.HasPrefix(c.Path, "/") && !strings.HasPrefix(c.Path, "{") {
			bad("path %q doesn't begin with /", c.Path)
		}
		if len(c.Form) > 0 && !c.writes() {
			bad("a %s has no form", c.method())
		}
		for _, k := range c.Capture {
			if re, err := regexp.Compile(k.Pattern); err != nil {
				bad("capture %s: %w", k.Name, err)
			} else if re.NumSubexp() != 1 {
				bad("capture %s: %q has %d groups, not one", k.Name, k.Pattern, re.NumSubexp())
			}
			known[k.Name] = ""
		}
	}
	return errlist.OrNil(all)
}

var errNoMatch = errors.New("nothing matches")

func (k Capture) find(header func(string) string, body []byte) (string, error) {
	text := string(body)
	if k.Header != "" {
		text = header(k.Header)
	}
	re, err := regexp.Compile(k.Pattern)
	if err != nil {
		return "", err
	}
	m := re.FindStringSubmatch(text)
	if len(m) != 2 {
		return "", fmt.Errorf("capture %s: %w %q in %q", k.Name, errNoMatch, k.Pattern, begin(text))
	}
	return html.UnescapeString(m[1]), nil
}

// begin is the first of a text, for errors.
func begin(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 160 {
		s = s[:160] + " …"
	}
	return s
}
