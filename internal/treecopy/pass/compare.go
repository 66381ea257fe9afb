package pass

import (
	"fmt"
	"iter"
	"strings"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// ExtraError: the target has entries that the source hasn't and that no pass has copied. Nothing was changed.
type ExtraError struct {
	Target  string
	Entries int64
	Names   []tree.Path // the first of them
}

func (e *ExtraError) Error() string {
	return fmt.Sprintf("%s has %d entries that the source hasn't: %s; nothing was changed; --delete takes them away", e.Target, e.Entries, names(e.Names, e.Entries))
}

// VanishedError: most of what the source had isn't there any more. Nothing was changed.
type VanishedError struct {
	Source   string
	Gone, Of int64
}

func (e *VanishedError) Error() string {
	return fmt.Sprintf("%s has lost %d of the %d entries that it had: is it the right directory, and mounted? nothing was changed; --delete takes them away at the target too", e.Source, e.Gone, e.Of)
}

// RoomError: what is to be sent doesn't fit. Nothing was changed.
type RoomError struct {
	Target       string
	Needs, Has   int64 // bytes
	New, Entries int64 // entries that are to be made, and that can be
}

func (e *RoomError) Error() string {
	if e.Needs > e.Has {
		return fmt.Sprintf("%s: %v: %d bytes are to be sent, and %d are free; nothing was changed", e.Target, tree.ErrFull, e.Needs, e.Has)
	}
	return fmt.Sprintf("%s: %v: %d entries are to be made, and there are inodes for %d; nothing was changed", e.Target, tree.ErrFull, e.New, e.Entries)
}

func (e *RoomError) Unwrap() error { return tree.ErrFull }

func names(paths []tree.Path, of int64) string {
	var b strings.Builder
	for i, p := range paths {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	if of > int64(len(paths)) {
		b.WriteString(", ...")
	}
	return b.String()
}

// fewNames is how many names an error has at most.
const fewNames = 10

// manyGone is from how many entries on it is suspicious that more than half of them are gone.
const manyGone = 100

// comparison makes a plan of what the three rows show.
type comparison struct {
	plan   *plan
	report *tally
	fits   *fits
	first  bool // the target was listed

	dir      string // below it is what is in the way of an entry that is no directory any more; "" for none
	known    int64
	gone     int64
	source   int64 // that are carried
	extra    ExtraError
	lacks    map[Feature]*UnkeptError
	grows    int64 // bytes
	made     int64 // entries
	kept     int64
	progress func(seen int64)
}

func (c *comparison) run(rows iter.Seq2[sight, error]) error {
	c.lacks = map[Feature]*UnkeptError{}
	for s, err := range rows {
		if err != nil {
			return err
		}
		if err := c.look(s); err != nil {
			return err
		}
	}
	return c.plan.end(func() { c.kept++ })
}

func (c *comparison) look(s sight) error {
	if s.known != nil {
		c.known++
	}
	if s.source != nil {
		c.report.Listed++
		c.progress(c.report.Listed)
		if !s.source.Kind.Carried() {
			c.report.trouble(s.path, Special, "it is a "+s.source.Kind.String()+", and is left out")
			s.source = nil
		}
	}
	if s.source == nil {
		c.absent(s)
		return nil
	}
	c.source++
	was := c.was(s)
	if was != nil && was.Kind == tree.Directory && s.source.Kind != tree.Directory {
		c.dir = string(s.path) + "/"
	}
	it := item{op: opSend, had: was != nil, Stat: *s.source}
	here := !c.first || s.target != nil && s.target.Kind == s.source.Kind && (s.source.Kind != tree.File || s.target.Size == s.source.Size)
	same := here && s.known != nil && s.known.unchanged(s.source)
	switch {
	case s.source.Kind == tree.File && s.source.Names > 1:
		c.plan.name(it, !same) // whether it is kept is known when all its names are
		if !same {
			c.weigh(&it, was)
		}
		return nil
	case same:
		c.kept++
		return nil
	case s.source.Kind == tree.Directory:
		it.op = opDir
	case s.source.Kind == tree.File && s.known == nil && here && c.first && s.target.Names == 1:
		it.op = opAdopt
	}
	c.weigh(&it, was)
	return c.plan.add(it)
}

// was is what the target has: as a listing of it says, or as is known.
func (c *comparison) was(s sight) *tree.Stat {
	switch {
	case c.first:
		return s.target
	case s.known != nil:
		return &s.known.Stat
	}
	return nil
}

// weigh counts what an entry that is to be sent needs of the target.
func (c *comparison) weigh(it *item, was *tree.Stat) {
	if it.op != opAdopt && it.Kind == tree.File {
		need := it.Size
		if c.fits.Keeps.Holes {
			need = min(need, it.Blocks*512)
		}
		if was != nil {
			need -= was.Size
		}
		c.grows += need
	}
	if was == nil {
		c.made++
	}
	for _, f := range c.fits.lacks(&it.Stat) {
		e := c.lacks[f]
		if e == nil {
			e = &UnkeptError{Feature: f, Example: it.Path}
			c.lacks[f] = e
		}
		e.Entries++
	}
}

// absent is for what the source hasn't.
func (c *comparison) absent(s sight) {
	lost := s.path == "lost+found" || strings.HasPrefix(string(s.path), "lost+found/") // of the target's file system
	switch {
	case s.known != nil:
		c.gone++
	case lost || s.target == nil:
		return
	default:
		c.extra.Entries++
		if len(c.extra.Names) < fewNames {
			c.extra.Names = append(c.extra.Names, s.path)
		}
	}
	if c.first && s.target == nil { // it is known of, and isn't there
		return
	}
	if c.dir != "" && strings.HasPrefix(string(s.path), c.dir) {
		c.plan.before = append(c.plan.before, s.path)
		return
	}
	c.plan.after = append(c.plan.after, s.path)
}

// refusals are what speaks against doing it, all of them.
func (c *comparison) refusals(source, target string, o *Options) (out []error) {
	if c.extra.Entries > 0 && !o.Delete {
		c.extra.Target = target
		out = append(out, &c.extra)
	}
	most := c.gone > manyGone && c.gone > c.known/2
	if (most || c.gone > 0 && c.source == 1) && !o.Delete {
		out = append(out, &VanishedError{source, c.gone, c.known})
	}
	for _, f := range Features {
		if e := c.lacks[f]; e != nil && !c.fits.without[f] {
			e.Target = target
			out = append(out, e)
		}
	}
	if k := c.fits.Keeps; c.grows > k.Bytes || k.Inodes >= 0 && c.made > k.Inodes {
		out = append(out, &RoomError{target, c.grows, k.Bytes, c.made, k.Inodes})
	}
	return out
}
