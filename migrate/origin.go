package migrate

import (
	"slices"
	"strings"
)

// Origin says what a step looked at and acted on. It comes from the constructors of its eye and its hand (Look, LookAt,
// Real, Shadow, Created, Maker) and from nowhere else, so a step can't claim another.
type Origin []Touch

// Touch is one thing that a step looks at or acts on.
type Touch struct {
	How How    `json:"how"`
	On  On     `json:"on"`
	Of  string `json:"of"` // the eye's or hand's name, or the id of the step that made it
}

// How is whether something is only looked at.
type How string

const (
	Read  How = "read"
	Acted How = "done"
)

// On is what kind of thing it is.
type On string

const (
	OnReal    On = "real"    // was there before the run
	OnShadow  On = "shadow"  // was there before the run, and is marked disposable
	OnCreated On = "created" // this run made it, or makes it
)

// and joins two origins: what is acted on is not also listed as looked at.
func (o Origin) and(p Origin) Origin {
	all := slices.Clone(o)
	for _, t := range p {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return slices.DeleteFunc(all, func(t Touch) bool {
		return t.How == Read && slices.Contains(all, Touch{Acted, t.On, t.Of})
	})
}

// In says it in words: "read on the real source's MariaDB, done on the throwaway target (standup.sql-instance)".
func (o Origin) In(mode string) string {
	var parts []string
	for _, t := range o {
		parts = append(parts, string(t.How)+" on "+t.On.in(mode)+" ("+t.Of+")")
	}
	return strings.Join(parts, ", ")
}

func (on On) in(mode string) string {
	switch {
	case on == OnCreated && mode == ModeRehearsal:
		return "the throwaway target"
	case on == OnCreated:
		return "the target"
	case on == OnShadow:
		return "the shadow"
	}
	return "the real thing"
}
