package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// formation is part of every checkpoint's key: raise it when forming does something else with the same layers, files and shop.
const formation = 3

// keepUnused is for how long a checkpoint that nobody uses is kept when another is made.
const keepUnused = 24 * time.Hour

func trim(b []byte) []byte { return bytes.TrimSpace(b) }

// Key is the hash of all that goes into a formed fleet: layers, files, schema, size.
func Key(size shop.Size) (string, error) {
	type host struct {
		Host  Host
		Layer string
		Files []machine.File
	}
	content := struct {
		Formation int
		Shop      string
		Hosts     []host
	}{Formation: formation, Shop: size.Fingerprint()}
	secrets, err := NewSecrets()
	if err != nil {
		return "", err
	}
	// Passwords stand in files; keys and certificates are left out below.
	for _, p := range []*string{&secrets.ShopPassword, &secrets.QueuePassword, &secrets.RedisPassword, &secrets.KeepalivedPassword} {
		*p = "password"
	}
	for _, h := range Hosts() {
		files, err := hostFiles(h, secrets)
		if err != nil {
			return "", err
		}
		for i := range files {
			if secretFile(files[i].Path) {
				files[i].Content = nil
			}
		}
		content.Hosts = append(content.Hosts, host{Host: h, Layer: RoleLayer(h.Role, h.Suite).Key(), Files: files})
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:16], nil
}

// secretFile says whether a file holds what is made anew at each forming.
func secretFile(path string) bool {
	return strings.Contains(path, "/ssh_host_") || strings.HasSuffix(path, "/authorized_keys") || strings.HasSuffix(path, ".pem")
}

// checkpoint is a formed fleet in the cache: <cache>/fleets/<key>-<serial>, and beside it a lock file that is held shared by everyone who uses it.
type checkpoint struct {
	dir  string
	lock *os.File
}

func (c checkpoint) upper(h Host) string { return filepath.Join(c.dir, "hosts", h.Name, "upper") }
func (c checkpoint) brick(h Host) string { return filepath.Join(c.dir, "hosts", h.Name, "brick") }
func (c checkpoint) seed() string        { return filepath.Join(c.dir, "seed") } // the brick as it was filled, under all three hosts'
func (c checkpoint) secrets() string     { return filepath.Join(c.dir, "secrets.json") }

func (c checkpoint) close() error {
	if c.lock == nil {
		return nil
	}
	return c.lock.Close()
}

// openCheckpoint finds the newest checkpoint of the options' key, or has form make one. It stays locked for use until close.
func openCheckpoint(ctx context.Context, cache string, o Options, report progress.Func, form func(dir string) error) (checkpoint, error) {
	key, err := Key(o.Size)
	if err != nil {
		return checkpoint{}, err
	}
	fleets := filepath.Join(cache, "fleets")
	if err := os.MkdirAll(fleets, 0o700); err != nil { // it holds keys
		return checkpoint{}, err
	}
	unlock, err := rootfs.Lock(ctx, filepath.Join(fleets, key+".lock"), report, "another lab forms the same fleet")
	if err != nil {
		return checkpoint{}, err
	}
	defer unlock()
	newest, err := newestSerial(fleets, key)
	if err != nil {
		return checkpoint{}, err
	}
	if newest == 0 || o.Fresh {
		building := filepath.Join(fleets, key+".building")
		if err := os.RemoveAll(building); err != nil {
			return checkpoint{}, err
		}
		if err := os.MkdirAll(building, 0o700); err != nil {
			return checkpoint{}, err
		}
		if err := form(building); err != nil {
			return checkpoint{}, errors.Join(fmt.Errorf("form the fleet: %w", err), os.RemoveAll(building))
		}
		newest++
		if err := rootfs.Publish(building, filepath.Join(fleets, serialName(key, newest))); err != nil {
			return checkpoint{}, err
		}
	}
	c, err := useCheckpoint(filepath.Join(fleets, serialName(key, newest)))
	if err != nil {
		return checkpoint{}, err
	}
	return c, removeUnused(cache, serialName(key, newest), key)
}

// useCheckpoint opens a checkpoint that is there.
func useCheckpoint(dir string) (checkpoint, error) {
	c := checkpoint{dir: dir}
	var err error
	if c.lock, err = useLock(dir); err != nil {
		return checkpoint{}, err
	}
	if _, err := os.Stat(dir); err != nil { // deleted as unused between the look and the lock
		return checkpoint{}, errors.Join(err, c.close())
	}
	return c, nil
}

func serialName(key string, serial int) string { return fmt.Sprintf("%s-%d", key, serial) }

// newestSerial is the highest serial of a key, 0 if there is none.
func newestSerial(fleets, key string) (int, error) {
	entries, err := os.ReadDir(fleets)
	if err != nil {
		return 0, err
	}
	newest := 0
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), key+"-"); ok && e.IsDir() {
			n, err := strconv.Atoi(rest)
			if err != nil {
				return 0, fmt.Errorf("%s: not a checkpoint of the lab's", filepath.Join(fleets, e.Name()))
			}
			newest = max(newest, n)
		}
	}
	return newest, nil
}

// removeUnused deletes checkpoints that no lab uses: older serials of the key, and other keys' that nobody has used for keepUnused,
// and what a killed lab was building.
func removeUnused(cache, keep, key string) error {
	fleets := filepath.Join(cache, "fleets")
	entries, err := os.ReadDir(fleets)
	if err != nil {
		return err
	}
	needed, err := savedBases(cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == keep || slices.Contains(needed, e.Name()) {
			continue
		}
		dir := filepath.Join(fleets, e.Name())
		mark := dir + ".use"
		if of, ok := strings.CutSuffix(e.Name(), ".building"); ok {
			mark = filepath.Join(fleets, of+".lock") // held by whoever builds
		} else if !strings.HasPrefix(e.Name(), key+"-") {
			used, err := os.Stat(mark)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err == nil && time.Since(used.ModTime()) < keepUnused {
				continue
			}
		}
		lock, err := lockUnused(mark)
		if err != nil {
			return err
		}
		if lock == nil {
			continue
		}
		if err := errors.Join(os.RemoveAll(dir), os.Remove(mark), lock.Close()); err != nil {
			return err
		}
	}
	return nil
}
