package smoke

import (
	"context"
	"errors"

	"github.com/slipway-dev/slipway/internal/web"
)

// Site is the new side as a customer's browser sees it.
type Site interface {
	// Fetch makes one HTTPS request to an address; server name, certificate and Host header are the URL's. Redirects aren't followed.
	Fetch(ctx context.Context, address string, r web.Request) (web.Response, error)
}

// Rows is the target's database.
type Rows interface {
	// Row is the first row of a query's answer, its columns as text.
	Row(ctx context.Context, query string, args []string) ([]string, error)
}

// Assets are the files as they were in the snapshot that the target was filled from.
type Assets interface {
	// Digest is the SHA-256, in hex, of a file's content; its path is relative to the tree's root.
	Digest(ctx context.Context, asset string) (string, error)
}

// Visitor is what the checks are made with.
type Visitor interface {
	Site
	Rows
	Assets
}

// NewVisitor joins the three.
func NewVisitor(t Target, a Assets) Visitor { return onlyVisitor{t, a} }

type onlyVisitor struct {
	Target
	Assets
}

// OnlyVisitor closes a visitor that can do more.
func OnlyVisitor(v Visitor) Visitor { return onlyVisitor{v, v} }

// Target is the new side and its database.
type Target interface {
	Site
	Rows
}

type onlyTarget struct {
	Site
	Rows
}

// OnlyTarget joins a site and a database, and closes them.
func OnlyTarget(s Site, r Rows) Target { return onlyTarget{s, r} }

type onlyAssets struct{ Assets }

// OnlyAssets closes what can do more.
func OnlyAssets(a Assets) Assets { return onlyAssets{a} }

var errNotYet = errors.New("there is no target yet")

// NoTarget is what a plan sees before there is one: every visit is an error.
type NoTarget struct{}

// Fetch is an error.
func (NoTarget) Fetch(context.Context, string, web.Request) (web.Response, error) {
	return web.Response{}, errNotYet
}

// Row is an error.
func (NoTarget) Row(context.Context, string, []string) ([]string, error) { return nil, errNotYet }

// NoAssets is what a plan sees before there is a snapshot of the files: it knows no file.
type NoAssets struct{}

// Digest is an error.
func (NoAssets) Digest(context.Context, string) (string, error) {
	return "", errors.New("there is no snapshot of the files yet")
}
