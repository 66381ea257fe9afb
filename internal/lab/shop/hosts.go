package shop

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strings"
	"text/template"
)

//go:embed conf
var conf embed.FS

//go:embed app
var app embed.FS

//go:embed schema.sql
var schema string

// Schema creates the database shop and its tables, empty: statements ending in a semicolon at the end of a line.
func Schema() string { return schema }

// Accounts creates the shop's account with the rights that the application uses, or sets it right. The statements
// hold a password: they go to the server over a connection, never in a program's arguments.
func (s Site) Accounts() []string {
	who := fmt.Sprintf("'shop'@'%s'", s.Clients)
	return []string{
		"CREATE OR REPLACE USER " + who + " IDENTIFIED BY '" + s.Secrets.Database + "'",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO " + who,
	}
}

// EdgeFiles configure HAProxy. The certificate and its key are expected, as one PEM file, at CertificatePath.
func (s Site) EdgeFiles() []File {
	return []File{{Path: "/etc/haproxy/haproxy.cfg", Mode: 0o644, Body: render("haproxy.cfg", s)}}
}

// CertificatePath is where HAProxy reads the certificate and its key: 0600, root's.
func (s Site) CertificatePath() string { return "/etc/haproxy/certs/" + s.Name + ".pem" }

// CacheFiles configure Varnish, which listens on port 6081 as Debian's unit has it.
func (s Site) CacheFiles() []File {
	return []File{{Path: "/etc/varnish/default.vcl", Mode: 0o644, Body: render("default.vcl", s)}}
}

// WebFiles are the application and all that runs it on one web host. The assets are expected at /srv/assets.
func (s Site) WebFiles(w Web) []File {
	pool := "/etc/php/" + w.Suite.PHP() + "/fpm/pool.d/www.conf" // in place of Debian's, which would only idle
	files := append(appFiles(),
		File{Path: "/etc/apache2/sites-available/shop.conf", Mode: 0o644, Body: render("apache.conf", s)},
		File{Path: "/etc/apache2/sites-enabled/000-default.conf", Link: "../sites-available/shop.conf"},
		File{Path: "/etc/shop/shop.ini", Mode: 0o640, Owner: "root:www-data", Body: render("shop.ini", s)},
		File{Path: pool, Mode: 0o644, Body: render("fpm.conf", s)},
	)
	for _, m := range apacheModules() {
		files = append(files, File{Path: "/etc/apache2/mods-enabled/" + m + ".load", Link: "../mods-available/" + m + ".load"})
	}
	files = append(files, File{Path: "/etc/apache2/mods-enabled/proxy.conf", Link: "../mods-available/proxy.conf"})
	if w.Worker {
		files = append(files, File{Path: "/etc/supervisor/conf.d/shop-worker.conf", Mode: 0o644, Body: render("supervisor.conf", s)})
	}
	if w.Cron {
		files = append(files, File{Path: "/etc/cron.d/shop", Mode: 0o644, Body: render("cron", s)})
	}
	return files
}

// RedisFiles configure the cache on 6379 and the sessions on 6380 of one Redis host. primary is the host that it
// follows; the zero address makes it the primary.
func (s Site) RedisFiles(suite Suite, primary netip.Addr) []File {
	var files []File
	for _, port := range []uint16{s.RedisCache.Port(), s.RedisSessions.Port()} {
		values := struct {
			Port                uint16
			Password, Primary   string
			Sessions, MultiPart bool
		}{Port: port, Password: s.Secrets.Redis, Sessions: port == s.RedisSessions.Port(), MultiPart: suite != Bullseye} // Redis 7 keeps the log in a directory
		if primary.IsValid() {
			values.Primary = primary.String()
		}
		files = append(files, File{
			Path: fmt.Sprintf("/etc/redis/redis-%d.conf", port), Mode: 0o640, Owner: "redis:redis", Body: render("redis.conf", values),
		})
	}
	return files
}

// appFiles is the application under /srv/shop/app, the same on hosts and in the image.
func appFiles() []File {
	var files []File
	err := fs.WalkDir(app, "app", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := app.ReadFile(name)
		files = append(files, File{Path: path.Join("/srv/shop", name), Mode: 0o644, Body: body})
		return err
	})
	if err != nil {
		panic(err) // embedded files are always readable
	}
	return files
}

// render executes a template of conf. A template that fails is a mistake in this package that its tests show.
func render(name string, values any) []byte {
	text, err := conf.ReadFile("conf/" + name + ".tmpl")
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	if err := template.Must(template.New(name).Option("missingkey=error").Parse(string(text))).Execute(&out, values); err != nil {
		panic(err)
	}
	return bytes.TrimLeft(out.Bytes(), "\n")
}

// passwordLetters are what a password may consist of: it stands unquoted in Redis's and quoted in PHP's configuration.
const passwordLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// Check says what is wrong with the site, or nil: rendering doesn't quote, so what it is given must need no quotes.
func (s Site) Check() error {
	for _, p := range []struct{ what, password string }{{"database", s.Secrets.Database}, {"queue", s.Secrets.Queue}, {"redis", s.Secrets.Redis}} {
		if p.password == "" || strings.Trim(p.password, passwordLetters) != "" {
			return fmt.Errorf("the %s password must be letters and digits", p.what)
		}
	}
	return nil
}
