package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/strictyaml"
)

// Own is a step of the user's own. Exactly one of Host, Local and Pod says where its commands run; each of them is a list of
// words, with no shell between.
type Own struct {
	ID    string   `yaml:"id,required" json:"id"` // in the journal: own.ID
	Title string   `yaml:"title" json:"title"`
	Phase string   `yaml:"phase" json:"phase"` // "": that of the last step in After
	After []string `yaml:"after" json:"after"`

	Host  string `yaml:"host" json:"host"` // of the inventory
	Local bool   `yaml:"local" json:"local"`
	Pod   *Pod   `yaml:"pod" json:"pod"`

	Check  []string `yaml:"check" json:"check"`
	Run    []string `yaml:"run,required" json:"run"`
	Verify []string `yaml:"verify" json:"verify"`
	Undo   []string `yaml:"undo" json:"undo"`

	Env          []Variable          `yaml:"env" json:"env"`
	Timeout      strictyaml.Duration `yaml:"timeout" json:"timeout"` // 0: the engine's
	ReadOnly     bool                `yaml:"read-only" json:"read_only"`
	Irreversible bool                `yaml:"irreversible" json:"irreversible"`
}

// Pod is a pod of the release's namespace: the first, by name, that has the label and is ready.
type Pod struct {
	Label     string `yaml:"label,required" json:"label"`
	Container string `yaml:"container" json:"container"` // "": its only one
}

// Variable is of a command's environment: a text, or a secret.
type Variable struct {
	Name  string     `yaml:"name,required" json:"name"`
	Value string     `yaml:"value" json:"value"`
	From  secret.Ref `yaml:"from" json:"from"`
}

// OwnPrefix stands before the id of a step of the user's own wherever it is named.
const OwnPrefix = "own."

// BuiltIn are the built-in steps by phase, in the order in which they run: what after can name. A test of cmd holds this
// list to the runbook.
var BuiltIn = []struct {
	Phase string
	Steps []string
}{
	{"preflight", []string{"preflight.hosts", "preflight.mariadb", "preflight.gluster", "preflight.dns", "preflight.google"}},
	{"stand up", []string{"standup.cluster", "standup.sql-instance", "standup.sql-database", "standup.sql-users", "standup.namespace", "standup.secrets", "standup.claims", "standup.release"}},
	{"copy", []string{"copy.mariadb-snapshot", "copy.sql-load", "copy.sql-verify", "copy.gluster-snapshot", "copy.volume-fill", "copy.volume-verify"}},
	{"open", []string{"open.release", "open.smoke"}},
	{"flip", []string{"flip.dns"}},
}

var (
	ownID    = form{regexp.MustCompile(`^[a-z][a-z0-9-]{0,35}$`), "use lower-case letters, digits and dashes, at most 36; in the journal it is " + OwnPrefix + "ID"}
	variable = form{regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`), "use letters, digits and underscores"}
	podLabel = form{regexp.MustCompile(`^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?=[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`), "write KEY=VALUE, such as app.kubernetes.io/component=web"}
)

// PhaseOf is the phase in which a step of the user's own runs; "" when that can't be said.
func (c *Config) PhaseOf(o Own) string {
	if o.Phase != "" {
		return o.Phase
	}
	last := -1
	for _, a := range o.After {
		last = max(last, c.phaseAt(a))
	}
	if last < 0 {
		return ""
	}
	return BuiltIn[last].Phase
}

// phaseAt is the place of a step's phase in BuiltIn; -1 for a step that there isn't.
func (c *Config) phaseAt(step string) int {
	if id, own := strings.CutPrefix(step, OwnPrefix); own {
		i := slices.IndexFunc(c.Steps, func(o Own) bool { return o.ID == id })
		if i < 0 || slices.Contains(c.Steps[i].After, step) {
			return -1
		}
		return phaseNamed(c.PhaseOf(c.Steps[i]))
	}
	for i, p := range BuiltIn {
		if slices.Contains(p.Steps, step) {
			return i
		}
	}
	return -1
}

func phaseNamed(name string) int {
	for i, p := range BuiltIn {
		if p.Phase == name {
			return i
		}
	}
	return -1
}

func (c *Config) checkSteps() {
	var known, phases []string // what after may name so far, and phase
	for _, p := range BuiltIn {
		phases, known = append(phases, p.Phase), append(known, p.Steps...)
	}
	once := c.once("step")
	for i, o := range c.Steps {
		at := strictyaml.Index("steps", i)
		if slices.Contains(known, o.ID) {
			c.file.Problem(at+".id", o.ID+" is a built-in step", ownID.remedy)
		}
		c.must(at+".id", o.ID, ownID)
		once(at+".id", o.ID)
		c.checkOrder(at, o, known, phases)
		c.checkPlace(at, o)
		c.checkCommands(at, o)
		if c.file.Has(at+".timeout") && o.Timeout == 0 {
			c.file.Problem(at+".timeout", "no time at all won't do", "")
		}
		vars := c.once("variable")
		for j, v := range o.Env {
			at := strictyaml.Index(at+".env", j)
			c.must(at+".name", v.Name, variable)
			vars(at+".name", v.Name)
			if n := boolInt(!v.From.IsZero()) + boolInt(v.Value != ""); n != 1 && !c.file.Has(at+".from") || n > 1 {
				c.file.Problem(at, "it needs one of value and from", "")
			}
		}
		if o.ID != "" {
			known = append(known, OwnPrefix+o.ID)
		}
	}
}

// checkOrder: the steps that a step comes after stand above it, so that no two wait for each other.
func (c *Config) checkOrder(at string, o Own, known, phases []string) {
	c.oneOf(at+".phase", o.Phase, phases...)
	if o.Phase == "" && len(o.After) == 0 {
		c.file.Problem(at, "it has no place in the order", "give it after or phase")
	}
	for j, a := range o.After {
		where := strictyaml.Index(at+".after", j)
		if !slices.Contains(known, a) {
			remedy := strictyaml.Suggest(a, known)
			if slices.Contains(known, OwnPrefix+a) {
				remedy = "did you mean " + OwnPrefix + a
			}
			c.file.Problem(where, fmt.Sprintf("%s is no step that can come before this one", a), remedy)
			continue
		}
		if p := phaseNamed(o.Phase); p >= 0 && c.phaseAt(a) > p {
			c.file.Problem(where, fmt.Sprintf("%s runs in a later phase than %s", a, o.Phase), "take phase out, or name a later one")
		}
	}
}

func (c *Config) checkPlace(at string, o Own) {
	switch n := boolInt(o.Host != "") + boolInt(o.Local) + boolInt(o.Pod != nil); {
	case n == 0 && !c.file.Has(at+".host") && !c.file.Has(at+".pod"):
		c.file.Problem(at, "it doesn't say where it runs", "give it one of host, pod, or local: true")
	case n > 1:
		c.file.Problem(at, "it has several of host, local and pod", "leave one")
	}
	if o.Pod == nil {
		return
	}
	c.must(at+".pod.label", o.Pod.Label, podLabel)
	c.must(at+".pod.container", o.Pod.Container, label)
	if c.PhaseOf(o) == BuiltIn[0].Phase {
		c.file.Problem(at+".pod", "in "+BuiltIn[0].Phase+" there is no pod yet", "let it come later")
	}
}

// checkCommands: what changes something has a check, and an undo unless it says that it can't be undone.
func (c *Config) checkCommands(at string, o Own) {
	for _, x := range []struct {
		key  string
		argv []string
	}{{"check", o.Check}, {"run", o.Run}, {"verify", o.Verify}, {"undo", o.Undo}} {
		c.notEmpty(at+"."+x.key, len(x.argv))
		for j, word := range x.argv {
			if strings.ContainsRune(word, 0) {
				c.file.Problem(strictyaml.Index(at+"."+x.key, j), "no command can be given a NUL byte", "")
			}
		}
	}
	has := func(key string) bool { return c.file.Has(at + "." + key) }
	if o.ReadOnly {
		for _, key := range []string{"check", "undo", "irreversible"} {
			if has(key) {
				c.file.Problem(at+"."+key, "a step that is read-only changes nothing, and so has no "+key, "take one of the two out")
			}
		}
		return
	}
	if !has("check") {
		c.file.Problem(at, "it has no check", "give it a command that ends with 0 when the step is done, with 1 when it isn't; or write read-only: true")
	}
	switch {
	case o.Irreversible && has("undo"):
		c.file.Problem(at+".irreversible", "it has an undo", "take one of the two out")
	case !o.Irreversible && !has("undo"):
		c.file.Problem(at, "it has no undo", "give it one; or, when nothing can undo it, write irreversible: true")
	}
}
