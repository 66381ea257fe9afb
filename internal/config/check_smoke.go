package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/strictyaml"
)

// use finds ${name} in what a check sends.
var use = regexp.MustCompile(`\$\{([^}]*)\}`)

func (c *Config) checkSmoke() {
	c.notEmpty("smoke", len(c.Smoke))
	once := c.once("check")
	var captured []string
	for i, s := range c.Smoke {
		at := strictyaml.Index("smoke", i)
		once(at+".name", s.Name)
		c.oneOf(at+".method", s.Method, "GET", "HEAD", "POST")
		if s.Path != "" && !strings.HasPrefix(s.Path, "/") {
			c.file.Problem(at+".path", fmt.Sprintf("%q won't do", s.Path), "write the path from /, without the site's name")
		}
		if s.Method != "POST" && len(s.Form)+len(s.Secrets) > 0 {
			c.file.Problem(at+".form", "a form is sent with POST alone", "write method: POST")
		}
		c.between(at+".expect.status", s.Expect.Status, 100, 599)
		c.uses(at+".path", s.Path, captured)
		for _, f := range s.Form {
			c.uses(strictyaml.Join(at+".form", f.Key), f.Value, captured)
		}
		for j, f := range s.Secrets {
			at := strictyaml.Index(at+".secrets", j)
			if slices.ContainsFunc(s.Form, func(p strictyaml.Pair) bool { return p.Key == f.Field }) {
				c.file.Problem(at+".field", f.Field+" is in form already", "take one of the two out")
			}
		}
		if s.Query != nil && s.Query.Database != "" && !slices.Contains(c.Source.MariaDB.Databases, s.Query.Database) {
			c.file.Problem(at+".query.database", s.Query.Database+" is not one of source.mariadb.databases", strictyaml.Suggest(s.Query.Database, c.Source.MariaDB.Databases))
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
	for _, m := range use.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(captured, m[1]) {
			c.file.Problem(path, m[0]+" is not captured by a check before this one", strictyaml.Suggest(m[1], captured))
		}
	}
}
