package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// bootstrapScript makes an initialised data directory in /build/data and runs
// the statements on its standard input in it. The server is reached through its
// socket alone.
const bootstrapScript = `set -eu
mkdir -p /build/data /build/tmp /run/mysqld
chown mysql:mysql /build/data /build/tmp /run/mysqld
mysqld --no-defaults --user=mysql --initialize-insecure --datadir=/build/data
mysqld --no-defaults --user=mysql --datadir=/build/data --skip-networking --mysqlx=0 \
	--skip-log-bin --partial-revokes=ON --performance-schema=OFF --socket=/run/mysqld/mysqld.sock &
server=$!
n=0
until mysqladmin --no-defaults -uroot -S /run/mysqld/mysqld.sock ping >/dev/null 2>&1; do
	kill -0 $server
	n=$((n+1)); test $n -lt 600
	sleep 0.1
done
mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null | mysql --no-defaults -uroot -S /run/mysqld/mysqld.sock mysql
mysql --no-defaults -uroot -S /run/mysqld/mysqld.sock
kill $server
wait $server
rm -f /build/data/auto.cnf /build/data/*.pem
`

// ensureTemplate finds the initialised data directory in the cache or makes it.
// Its name covers the layer and all that is done to it.
func ensureTemplate(ctx context.Context, env Env) (string, error) {
	sum := sha256.New()
	for _, part := range []string{Layer.Key(), bootstrapScript, bootstrapSQL} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	dir := filepath.Join(env.Cache, "data-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(env.Cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := rootfs.Lock(ctx, filepath.Join(env.Cache, "lock"), env.Report, "mysql data directory: another lab makes it")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	task := progress.Begin(env.Report, "initialise a MySQL data directory")
	if err := makeTemplate(ctx, env, dir); err != nil {
		return "", fmt.Errorf("initialise a MySQL data directory: %w", err)
	}
	task.End()
	return dir, nil
}

// ensureImage finds an ext4 file system of a size, with the initialised data
// directory in it, in the cache or makes it (1 s; a copy of it takes 0.1 s). The
// file is sparse.
func ensureImage(ctx context.Context, env Env, template string, size int64) (string, error) {
	image := fmt.Sprintf("%s-%dM.ext4", template, size>>20)
	if _, err := os.Stat(image); err == nil {
		return image, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	unlock, err := rootfs.Lock(ctx, filepath.Join(env.Cache, "lock"), env.Report, "mysql data disk: another lab makes it")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	building := image + ".building"
	if err := os.RemoveAll(building); err != nil {
		return "", err
	}
	if err := makeImage(ctx, building, size, template); err != nil {
		return "", errors.Join(err, os.RemoveAll(building))
	}
	return image, rootfs.Publish(building, image)
}

func makeTemplate(ctx context.Context, env Env, dir string) (err error) {
	m, err := env.Launcher.Start(ctx, machine.Spec{
		Name: fmt.Sprintf("mysql-template-%d", os.Getpid()), Lower: env.Lower, Argv: machine.Idle(), Volumes: []machine.Volume{{Path: "/build"}},
		Files: []machine.File{machine.Text("/bootstrap.sh", bootstrapScript)},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Remove(context.WithoutCancel(ctx))) }()
	c := machine.Cmd{Argv: []string{"/bin/bash", "/bootstrap.sh"}, Stdin: strings.NewReader(bootstrapSQL)}
	if err := m.Run(ctx, c); err != nil {
		return err
	}
	if err := m.Kill(ctx); err != nil {
		return err
	}
	building := dir + ".building"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	// The launcher's directory may be on another file system than the cache.
	if err := copyTree(ctx, m.VolumeDirs()[0], building); err != nil {
		return errors.Join(err, os.RemoveAll(building))
	}
	return rootfs.Publish(building, dir)
}
