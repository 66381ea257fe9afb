package secret

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Redact gives an error whose text has Mask in the place of each secret's plain text (also as %q and URLs write it), for
// errors of libraries that quote what they were given: a DSN, a URL, a header. errors.Is and errors.As find what err's
// chain holds; what As finds may still hold the secret in its own text, so print what Redact gave and nothing taken out of
// it.
func Redact(err error, secrets ...String) error {
	if err == nil {
		return nil
	}
	var plain []string
	for _, s := range secrets {
		if p := s.Reveal(); p != "" {
			quoted := strconv.Quote(p)
			plain = append(plain, p, quoted[1:len(quoted)-1], url.QueryEscape(p), url.PathEscape(p))
		}
	}
	// The longest first: a secret that is part of another must not leave the other's rest readable.
	slices.SortFunc(plain, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	was := err.Error()
	text := was
	for _, p := range plain {
		text = strings.ReplaceAll(text, p, Mask)
	}
	if text == was {
		return err
	}
	return &redacted{text, err}
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string        { return r.text }
func (r *redacted) GoString() string     { return r.text }
func (r *redacted) Is(target error) bool { return errors.Is(r.err, target) }
func (r *redacted) As(target any) bool   { return errors.As(r.err, target) }
