// Package rootfs makes the lab's root file systems from Debian packages and keeps them in a cache: a base per Debian release, made by
// mmdebstrap, and on it layers with the packages and files of a role. What a layer is made of is data ([Layer]), so that every part of the
// lab declares its own; where it is kept follows from a hash of that data, so that equal layers are made once per computer.
//
// Layers are built in a machine of their own (package machine) and are safe to be built by several labs at once. The Debian mirror, proxies and keys are those
// of this computer's own apt. It knows no roles and no hosts, and imports machine and progress alone of the lab.
package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// Suite is a Debian release by its code name.
type Suite string

// The releases the lab uses.
const (
	Bullseye Suite = "bullseye" // 11
	Bookworm Suite = "bookworm" // 12
	Sid      Suite = "sid"      // unstable: the only one with MySQL
)

// Layer says what a layer is made of. It is a value: declare it as a variable and hand it to [Store.Ensure].
type Layer struct {
	Name  string // for people: a part of the directory's name and of progress. Lower case letters, digits, dashes
	Suite Suite
	// On is the layer below; nil makes this one a base, which has packages only.
	On *Layer
	// Packages are installed without their recommendations.
	Packages []string
	// Files are written after the packages are installed, before Setup.
	Files []machine.File
	// Setup are programs run in order inside the layer, with their arguments. They get the network of this computer and must leave nothing running.
	Setup [][]string
}

// format is part of every key: raise it when the way layers are built changes what comes out.
const format = 1

// Key is the hash of everything that goes into the layer, its bases included. It does not cover what versions of the packages the mirror had.
func (l Layer) Key() string {
	type content struct {
		Format   int
		Name     string
		Suite    Suite
		On       string
		Packages []string
		Files    []machine.File
		Setup    [][]string
	}
	c := content{Format: format, Name: l.Name, Suite: l.Suite, Packages: slices.Sorted(slices.Values(l.Packages)), Files: l.Files, Setup: l.Setup}
	if l.On != nil {
		c.On = l.On.Key()
	}
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings, numbers and bytes always marshal
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:16]
}

// dirName is the layer's directory in the cache.
func (l Layer) dirName() string { return fmt.Sprintf("%s-%s-%s", l.Suite, l.Name, l.Key()) }

func (l Layer) title() string { return fmt.Sprintf("layer %s/%s", l.Suite, l.Name) }

// base is the layer's lowest.
func (l Layer) base() Layer {
	for l.On != nil {
		l = *l.On
	}
	return l
}

func (l Layer) check() error {
	if l.Name == "" || l.Suite == "" {
		return errors.New("layer without a name or a suite")
	}
	if l.On == nil && (len(l.Files) > 0 || len(l.Setup) > 0) {
		return fmt.Errorf("%s: a base has packages only: declare a layer on it", l.title())
	}
	if l.On != nil && l.On.Suite != l.Suite {
		return fmt.Errorf("%s: lies on a layer of %s", l.title(), l.On.Suite)
	}
	return nil
}
