package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/strictyaml"
)

// brace finds what stands for something: {{, }}, {name}, and a brace that stands for nothing.
var brace = regexp.MustCompile(`\{\{|\}\}|\{([a-z][a-z0-9_]*)\}|[{}]`)

func (c *Config) checkSmoke() {
	c.notEmpty("smoke", len(c.Smoke))
	once := c.once("check")
	var captured []string
	for i, s := range c.Smoke {
		at := strictyaml.Index("smoke", i)
		once(at+".name", s.Name)
		c.oneOf(at+".method", s.Method, "GET", "HEAD", "POST")
		if s.Path != "" && !strings.HasPrefix(s.Path, "/") && !strings.HasPrefix(s.Path, "{") {
			c.file.Problem(at+".path", fmt.Sprintf("%q won't do", s.Path), "write the path from /, without the site's name")
		}
		if s.Method != "POST" && len(s.Form) > 0 {
			c.file.Problem(at+".form", "a form is sent with POST alone", "write method: POST")
		}
		c.between(at+".status", s.Status, 100, 599)
		c.uses(at+".path", s.Path, captured)
		c.uses(at+".location", s.Location, captured)
		c.uses(at+".asset", s.Asset, captured)
		for j, text := range s.Contains {
			c.uses(strictyaml.Index(at+".contains", j), text, captured)
		}
		for j, f := range s.Form {
			at := strictyaml.Index(at+".form", j)
			c.uses(at+".value", f.Value, captured)
			if f.Value != "" && !f.From.IsZero() {
				c.file.Problem(at, "it has a value and a reference", "leave one")
			}
		}
		if s.Row != nil {
			for j, text := range s.Row.Args {
				c.uses(strictyaml.Index(at+".row.args", j), text, captured)
			}
		}
		for j, k := range s.Capture {
			at := strictyaml.Index(at+".capture", j)
			c.must(at+".name", k.Name, captureID)
			re, err := regexp.Compile(k.Pattern)
			switch {
			case err != nil:
				c.file.Problem(at+".pattern", "not a regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "the syntax is RE2's")
			case k.Pattern != "" && re.NumSubexp() != 1:
				c.file.Problem(at+".pattern", fmt.Sprintf("it has %d groups", re.NumSubexp()), "put what is to be kept in one pair of parentheses, and write others as (?:...)")
			}
			captured = append(captured, k.Name)
		}
	}
}

func (c *Config) uses(path, text string, captured []string) {
	for _, m := range brace.FindAllStringSubmatch(text, -1) {
		switch {
		case m[0] == "{{" || m[0] == "}}":
		case len(m[0]) == 1:
			c.file.Problem(path, "a brace that stands for nothing", "write {{ or }} for the brace itself")
		case !slices.Contains(captured, m[1]):
			c.file.Problem(path, m[0]+" is not captured by a check before this one", strictyaml.Suggest(m[1], captured))
		}
	}
}
