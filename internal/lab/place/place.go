// Package place says where a lab keeps what it keeps, under which name, and whether this computer can carry one. It imports nothing of the lab.
package place

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Place is one lab's name and directories.
type Place struct {
	Name  string // several labs of different names can be up at once
	State string // this lab's alone, gone with down
	Cache string // shared by all labs of this computer; may be deleted when none is up
}

// The environment variables that choose the place.
const (
	NameVar  = "SLIPWAY_LAB"
	StateVar = "SLIPWAY_LAB_STATE"
	CacheVar = "SLIPWAY_LAB_CACHE"
)

// FromEnv reads the place from the environment: SLIPWAY_LAB (default lab), SLIPWAY_LAB_STATE (default /var/lib/slipway-lab; the lab's
// own directory is the one of its name in it), SLIPWAY_LAB_CACHE (default /var/cache/slipway-lab).
func FromEnv() (Place, error) {
	p := Place{Name: or(os.Getenv(NameVar), "lab"), Cache: or(os.Getenv(CacheVar), "/var/cache/slipway-lab")}
	if strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(p.Name) > 32 {
		return Place{}, fmt.Errorf("%s=%q: want up to 32 lower case letters, digits and dashes", NameVar, p.Name)
	}
	p.State = filepath.Join(or(os.Getenv(StateVar), "/var/lib/slipway-lab"), p.Name)
	for _, dir := range []string{p.State, p.Cache} {
		if !filepath.IsAbs(dir) || strings.ContainsAny(dir, ":,\\") {
			return Place{}, fmt.Errorf("%s: want an absolute path without colon, comma and backslash (overlayfs takes neither)", dir)
		}
	}
	// The kernel bounds a socket's path at 107 bytes (unix(7)).
	if len(p.Socket()) > 107 {
		return Place{}, fmt.Errorf("%s: the path is too long for a socket, choose a shorter %s", p.Socket(), StateVar)
	}
	return p, nil
}

// Environ is the place as environment variables, for programs run in the lab.
func (p Place) Environ() []string {
	return []string{NameVar + "=" + p.Name, StateVar + "=" + filepath.Dir(p.State), CacheVar + "=" + p.Cache}
}

// Socket is where the daemon is spoken to.
func (p Place) Socket() string { return filepath.Join(p.State, "control") }

// Lock is the file that a living daemon holds locked.
func (p Place) Lock() string { return filepath.Join(p.State, "lock") }

// Log is what the daemon has to say.
func (p Place) Log() string { return filepath.Join(p.State, "daemon.log") }

// Access is where the keys to the running lab are.
func (p Place) Access() string { return filepath.Join(p.State, "access") }

// Machines is the launcher's directory.
func (p Place) Machines() string { return filepath.Join(p.State, "machines") }

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
